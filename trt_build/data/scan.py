"""A simulated patient in a simulated scanner: object, coils, lines, and what the calibration lines taught."""

from dataclasses import dataclass
from math import ceil, lcm
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.calibration import Calibration, MapMethod, learn
from engines.linear.combine import rss
from engines.linear.compression import compress, compression
from engines.linear.maps import bounding_box
from trt_build.data.anatomy import head_scene
from trt_build.data.coils import random_coils
from trt_build.data.fields import low_pass
from trt_build.data.phase import random_phase
from trt_build.data.recipe import Recipe
from trt_build.data.sampling import Sampling, draw_kind, draw_sampling
from trt_build.data.scene import Grid, Scene
from trt_build.data.shapes import phantom_scene, texture_scene
from trt_build.data.volumes import Source

__all__ = ["Scan", "draw_scan", "noise", "strip"]

Image: TypeAlias = NDArray[np.complex64]
TISSUE: Final = 0.15  # share of the brightest signal above which a pixel counts as tissue


def noise(chance: np.random.Generator, shape: tuple[int, ...]) -> Image:
    """White complex noise with E|n|^2 = 1."""
    parts = chance.standard_normal((*shape, 2), np.float32) * np.float32(0.5**0.5)
    return parts.view(np.complex64)[..., 0]


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One object in one array of coils; images of it differ in contrast, phase and SNR."""

    grid: Grid
    scene: Scene
    coils: Image  # (coil, line, x) true sensitivities of whitened coils
    power: NDArray[np.float32]  # (line, x) root sum of squares of them
    sampling: Sampling
    calibration: Calibration
    first: Image  # (line, x) the image that the calibration lines were acquired of
    first_snr: float
    snr: float  # that of the images lies around it
    object: str  # "head", "phantom" or "texture"
    method: MapMethod

    def image(self, chance: np.random.Generator, recipe: Recipe, columns: slice) -> tuple[Image, float]:
        """Another image of the object (line, column) of some columns, with its SNR."""
        return _image(self.scene, self.grid, self.power[:, columns], (self.snr, recipe.brighter), chance, columns)


def draw_scan(source: Source | None, recipe: Recipe, chance: np.random.Generator) -> Scan:
    """Draw a scan and learn from its calibration lines; LinearError when they hold no object."""
    count = _count(chance, recipe.coils)
    kind, acceleration = draw_kind(chance, recipe, count)
    what = _object(source, recipe, chance)
    grid = _grid(chance, recipe, lcm(8, acceleration) if kind == "blocks" else 1, what)
    sampling = draw_sampling(chance, recipe, kind, acceleration, grid.lines)
    scene = _scene(what, source, grid, recipe, chance)
    coils = random_coils(chance, grid, count)
    power = rss(coils)
    low, high = np.log(recipe.snr)
    level = float(np.exp(chance.uniform(low, high)))
    first, snr = _image(scene, grid, power, (level, recipe.brighter), chance, slice(None))
    lines = _calibration_lines(chance, coils * first, sampling)
    if count > recipe.virtual_coils:
        matrix = compression(lines, recipe.virtual_coils)
        lines, coils = compress(matrix, lines), compress(matrix, coils)
    method: MapMethod = "espirit" if chance.random() < recipe.espirit else "walsh"
    nothing = np.zeros(grid.lines, np.bool_)  # the strip's problem is stated later
    learned = learn(lines, sampling.calibration.start, nothing, method)
    return Scan(grid, scene, coils, power, sampling, learned, first, snr, level, what, method)


def _count(chance: np.random.Generator, ends: tuple[int, int]) -> int:
    """Draw a number between two, log-uniform with a little more weight on the larger ones."""
    return min(ends[1], int(ends[0] * ((ends[1] + 1) / ends[0]) ** chance.random() ** 0.7))


def _object(source: Source | None, recipe: Recipe, chance: np.random.Generator) -> str:
    drawn = chance.random()
    if drawn < recipe.heads and source is not None and source.subjects:
        return "head"
    return "phantom" if drawn < recipe.heads + recipe.phantoms else "texture"


def _grid(chance: np.random.Generator, recipe: Recipe, multiple: int, what: str) -> Grid:
    """Matrix of a scan: its number of lines a multiple of what its kind needs; some phantoms are made of pixels."""
    fov_mm, pixel_mm = chance.uniform(*recipe.fov_mm), chance.uniform(*recipe.resolution_mm)
    low, high = (ceil(end / multiple) * multiple for end in recipe.lines)
    lines = int(np.clip(round(fov_mm / pixel_mm / multiple) * multiple, low, high))
    along_mm = pixel_mm * (chance.uniform(0.75, 1.25) if chance.random() < 0.3 else 1.0)
    width = max(recipe.strip[0], round(fov_mm * chance.uniform(0.9, 1.15) / along_mm))
    fine = 1 if what == "phantom" and chance.random() < 0.4 else 2
    return Grid(lines, width, (fov_mm / lines, along_mm), fine)


def _scene(what: str, source: Source | None, grid: Grid, recipe: Recipe, chance: np.random.Generator) -> Scene:
    if what == "head" and source is not None:
        number = int(chance.integers(len(source.subjects)))
        return head_scene(source.head(number), grid, chance, recipe.natural, recipe.sharpened)
    return phantom_scene(grid, chance) if what == "phantom" else texture_scene(grid, chance)


def _image(
    scene: Scene,
    grid: Grid,
    power: NDArray[np.float32],
    around: tuple[float, float],
    chance: np.random.Generator,
    columns: slice,
) -> tuple[Image, float]:
    """Image (line, column), scaled so that tissue has an SNR `around` a level, up to a factor."""
    magnitude = scene(chance)
    down, along = low_pass(grid.lines, grid.fine), low_pass(grid.width, grid.fine)[columns]
    real, imaginary = (down @ (magnitude * part @ along.T) for part in random_phase(chance, grid))
    image = (real + 1j * imaginary).astype(np.complex64)
    signal = np.abs(image) * power
    tissue = signal[signal > TISSUE * np.percentile(signal, 99.5)]
    level, factor = around
    snr = level * float(factor ** chance.uniform(-1, 1))
    return image * np.float32(snr / max(float(tissue.mean()) if tissue.size else 0.0, 1e-9)), snr


def _calibration_lines(chance: np.random.Generator, received: Image, sampling: Sampling) -> Image:
    """Calibration lines (coil, line, x) in hybrid space, with noise; of a scan with other SNR when they came before."""
    length = received.shape[1]
    k = np.arange(length)[sampling.calibration] - length // 2
    at = np.arange(length) - length // 2
    transform = (np.exp(-2j * np.pi * np.outer(k, at) / length) / np.sqrt(length)).astype(np.complex64)
    lines = transform @ received
    if sampling.kind == "blocks":
        lines *= np.float32(chance.uniform(0.5, 1.5))
    return lines + noise(chance, lines.shape)


def strip(calibration: Calibration, recipe: Recipe, chance: np.random.Generator) -> tuple[slice, slice]:
    """Rows of the object, and a random run of columns through it."""
    rows, seen = bounding_box(calibration.inside)
    width = calibration.inside.shape[1]
    choices = np.arange(recipe.strip[0], recipe.strip[1] + 1, 8)
    columns = min(int(chance.choice(choices)), width // 8 * 8)
    first = int(chance.integers(max(0, min(seen.start - 8, width - columns)), max(1, width - columns + 1)))
    last = max(0, min(seen.stop + 8 - columns, width - columns))
    return rows, slice(min(first, last), min(first, last) + columns)

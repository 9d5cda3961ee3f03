"""Phantoms: ellipses, polygons, cells and coastlines, most of them piecewise constant."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trt_build.data.fields import smooth_noise
from trt_build.data.scene import Grid, Scene
from trt_build.data.texture import grain

__all__ = ["phantom_scene", "texture_scene"]

Regions = NDArray[np.uint8]  # (y, x), 0 is air
Plane = NDArray[np.float32]
# Shepp and Logan, IEEE Trans Nucl Sci 1974; 21:21: half axes x and y, middle x and y, turn in degrees.
SHEPP_LOGAN: Final = np.array(
    [
        [0.69, 0.92, 0, 0, 0],
        [0.6624, 0.874, 0, -0.0184, 0],
        [0.11, 0.31, 0.22, 0, -18],
        [0.16, 0.41, -0.22, 0, 18],
        [0.21, 0.25, 0, 0.35, 0],
        [0.046, 0.046, 0, 0.1, 0],
        [0.046, 0.046, 0, -0.1, 0],
        [0.046, 0.023, -0.08, -0.605, 0],
        [0.023, 0.023, 0, -0.606, 0],
        [0.023, 0.046, 0.06, -0.605, 0],
    ]
)


def phantom_scene(grid: Grid, chance: np.random.Generator) -> Scene:
    """Draw a piecewise-constant object; each scan gives its regions other values."""
    draw_regions = (_shepp_logan, _ellipses, _ellipses, _polygons, _cells, _coast)[chance.integers(6)]
    y, x = _axes(grid, chance)
    regions = draw_regions(y, x, grid, chance)
    faint = draw_regions is _shepp_logan or chance.random() < 0.3

    def scan(draw: np.random.Generator) -> Plane:
        values = _values(draw, faint)
        image = values[regions]
        if draw.random() < 0.2:
            image = image * (1 + np.float32(draw.uniform(0, 0.3)) * smooth_noise(draw, grid.shape, 90)[0])
        return image.clip(0)

    return scan


def texture_scene(grid: Grid, chance: np.random.Generator) -> Scene:
    """Draw an object full of detail: noise of many octaves, gratings, or both cut into pieces."""
    y, x = _axes(grid, chance)
    outline = _outline(y, x, grid, chance)
    octaves = [grain(chance, grid, (length / 2, length)) for length in (24.0, 8.0, 3.0, 1.2)]
    angle, period_mm = chance.uniform(0, np.pi), chance.uniform(2.2, 12)
    half = grid.fov_mm[0] / 2
    grating = np.sign(np.sin(2 * np.pi / period_mm * half * (y * np.cos(angle) + x * np.sin(angle))))
    where = smooth_noise(chance, grid.shape, 40 / grid.sample_mm)[0] > 0.5

    def scan(draw: np.random.Generator) -> Plane:
        decay = draw.uniform(0.3, 1.0)
        image = sum((np.float32(decay**n * draw.normal()) * octave for n, octave in enumerate(octaves)), np.float32(0))
        image = np.where(where, np.float32(draw.uniform(0, 1.5)) * grating, image)
        image = 1 + np.float32(draw.uniform(0.1, 0.5)) * image
        return (outline * image).clip(0).astype(np.float32)

    return scan


def _axes(grid: Grid, chance: np.random.Generator) -> tuple[Plane, Plane]:
    """Coordinates y (y, 1) and x (1, x) in units of half the field of view along y."""
    ratio = grid.fov_mm[1] / grid.fov_mm[0]
    shift = chance.normal(0, 0.03, 2)
    rows, columns = grid.shape
    y = np.linspace(-1, 1, rows, endpoint=False, dtype=np.float32)[:, None] - np.float32(shift[0])
    return y, np.linspace(-ratio, ratio, columns, endpoint=False, dtype=np.float32)[None] - np.float32(shift[1])


def _values(draw: np.random.Generator, faint: bool) -> Plane:  # noqa: FBT001
    """Signal of regions 1 to 255; the next to outermost one is faint and much of the rest close to it, if `faint`."""
    values = draw.uniform(0, 1, 256).astype(np.float32) ** np.float32(draw.uniform(0.5, 1.5))
    if faint:
        inner = draw.uniform(0.1, 0.6)
        values = (inner + draw.normal(0, draw.uniform(0.02, 0.15), 256)).astype(np.float32)
        values[1] = 1
        values[2] = inner
        values[draw.random(256) < 0.1] = 0
    values[0] = 0
    return values.clip(0)


def _ellipse(y: Plane, x: Plane, form: NDArray[np.float64]) -> NDArray[np.bool_]:
    half_x, half_y, middle_x, middle_y, turn = form
    cosine, sine = np.float32(np.cos(np.deg2rad(turn))), np.float32(np.sin(np.deg2rad(turn)))
    down, across = y + np.float32(middle_y), x - np.float32(middle_x)  # y grows downwards in a picture
    along = across * cosine - down * sine
    aside = across * sine + down * cosine
    return (along / np.float32(half_x)) ** 2 + (aside / np.float32(half_y)) ** 2 < 1


def _shepp_logan(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> Regions:
    """Draw the known phantom: as it is (one in three), or with every ellipse a little off; perhaps lying on a side."""
    forms = SHEPP_LOGAN.copy()
    if chance.random() < 2 / 3:
        forms[:, :2] *= np.exp(chance.normal(0, 0.12, (10, 2)))
        forms[1, :2] = forms[0, :2] * chance.uniform(0.9, 0.97, 2)
        forms[2:, 2:4] += chance.normal(0, 0.04, (8, 2))
        forms[2:, 4] += chance.normal(0, 15, 8)
    forms[:, :4] *= chance.uniform(0.75, 1.0)
    if chance.random() < 0.4:
        y, x = x, y
    regions = np.zeros(grid.shape, np.uint8)
    for number, form in enumerate(forms):
        regions[_ellipse(y, x, form)] = number + 1
    return regions


def _ellipses(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> Regions:
    """Draw a body with a shell, and ellipses of all sizes in it."""
    regions = _outline(y, x, grid, chance).astype(np.uint8)
    body = regions > 0
    for number in range(2, 2 + int(chance.integers(5, 40))):
        size = np.exp(chance.uniform(np.log(0.012), np.log(0.35)))
        middle = chance.uniform(-0.7, 0.7, 2)
        form = np.array([size, size * np.exp(chance.normal(0, 0.5)), *middle, chance.uniform(0, 180)])
        regions[_ellipse(y, x, form) & body] = number
    return regions


def _polygons(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> Regions:
    """Draw convex polygons, bars among them, as intersections of half planes."""
    regions = _outline(y, x, grid, chance).astype(np.uint8)
    body = regions > 0
    for number in range(2, 2 + int(chance.integers(4, 18))):
        middle_y, middle_x = chance.uniform(-0.65, 0.65, 2).astype(np.float32)
        size = np.exp(chance.uniform(np.log(0.03), np.log(0.35)))
        inside = body.copy()
        first = chance.uniform(0, 2 * np.pi)
        sides = int(chance.integers(3, 7))
        for angle in first + 2 * np.pi * np.arange(sides) / sides + chance.normal(0, 0.15, sides):
            reach = np.float32(size * chance.uniform(0.2, 1.0))
            inside &= np.float32(np.cos(angle)) * (x - middle_x) + np.float32(np.sin(angle)) * (y - middle_y) < reach
        regions[inside] = number
    return regions


def _cells(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> Regions:
    """Draw the cells nearest to random points, their borders straight or wavy."""
    wave = np.float32(chance.uniform(0, 0.06)) * smooth_noise(chance, grid.shape, 15 / grid.sample_mm, 2)
    down, across = y + wave[0], x + wave[1]
    nearest = np.full(grid.shape, np.inf, np.float32)
    regions = np.zeros(grid.shape, np.uint8)
    for number, (at_y, at_x) in enumerate(chance.uniform(-0.9, 0.9, (int(chance.integers(8, 36)), 2)).astype("f4")):
        distance = (down - at_y) ** 2 + (across - at_x) ** 2
        nearer = distance < nearest
        nearest[nearer] = distance[nearer]
        regions[nearer] = number + 1
    return regions * _outline(y, x, grid, chance)


def _coast(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> Regions:
    """Draw the levels of a landscape: noise of many octaves, cut into a few heights."""
    heights = int(chance.integers(3, 9))
    rough = chance.uniform(0.35, 0.6)
    lengths = (48.0, 24.0, 12.0, 6.0, 3.0, 1.5)
    land = sum(
        (
            np.float32(rough**n) * smooth_noise(chance, grid.shape, mm / grid.sample_mm)[0]
            for n, mm in enumerate(lengths)
        ),
        np.float32(0),
    )
    spread = np.float32(land.std()) + np.float32(1e-6)
    levels = np.clip((land / spread + 2) / 4 * heights, 0, heights - 1).astype(np.uint8) + 1
    return levels * _outline(y, x, grid, chance)


def _outline(y: Plane, x: Plane, grid: Grid, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Body (y, x): an ellipse, a box with round corners, or a blob."""
    half_y, half_x = chance.uniform(0.55, 0.93, 2) * (1, min(1.0, grid.fov_mm[1] / grid.fov_mm[0]))
    power = float(chance.choice([2, 2, 4, 12]))
    reach: Callable[[Plane], Plane] = lambda part: np.abs(part) ** np.float32(power)  # noqa: E731
    edge = reach(y / np.float32(half_y)) + reach(x / np.float32(half_x))
    if chance.random() < 0.4:
        edge = edge * (1 + np.float32(0.15) * smooth_noise(chance, grid.shape, 40 / grid.sample_mm)[0])
    return edge < 1

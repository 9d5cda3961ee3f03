"""One example to learn from: a simulated scan, processed as at run time up to what the network is handed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.linear.fourier import to_kspace
from engines.unrolled.problem import NetworkBox, as_planes, invert_box, network_box, normal_image
from engines.unrolled.strength import level_of, regularisation_of, scan_of
from trt_build.data.errors import DataError
from trt_build.data.recipe import Recipe
from trt_build.data.sampling import split_lines
from trt_build.data.scan import Scan, draw_scan, noise, strip
from trt_build.data.volumes import Source

__all__ = ["CoilLines", "LossLines", "Setup", "make_setup", "setup_of"]

TRIES: Final = 8  # a slice may miss the head; then the next one is drawn
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LossLines:
    """Acquired lines kept from the network, and what predicts them from its image rho: `transform @ (maps * rho)`."""

    rows: NDArray[np.intp]  # (line,) of k-space
    lines: NDArray[np.complex64]  # (frame, coil, line, column) in hybrid space
    maps: NDArray[np.complex64]  # (coil, row, column) on the planes
    transform: NDArray[np.complex64]  # (line, row)


@dataclass(frozen=True, slots=True, eq=False)
class CoilLines:
    """What a network is handed that works on coils: the same samples in hybrid space, before any maps."""

    lines: NDArray[np.complex64]  # (frame, coil, line, column), zero where nothing was acquired
    calibration: NDArray[np.complex64]  # (coil, calibration line, column)
    first_line: int  # row of k-space of the first calibration line
    first_row: int  # of the image (line, column) that the planes begin with


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """Frames of one strip that share coils, mask and inverse; everything in units of the whitened noise."""

    inverse: NDArray[np.float32]  # (group, 2 * alias, alias), see engines/unrolled/problem.py
    scan: NDArray[np.float32]  # (2,) see engines/unrolled/strength.py
    noise: NDArray[np.float32]  # (row, column) see engines/unrolled/balance.py
    normal: NDArray[np.float32]  # (frame, 2, row, column)
    target: NDArray[np.float32]  # (frame, 2, row, column)
    inside: NDArray[np.float32]  # (row, column) 1 where the object is
    facts: Mapping[str, str | float | int]
    acquired: NDArray[np.bool_]  # (line,) of the whole matrix, calibration lines before the scan left out
    loss: LossLines | None = None  # with supervision "ssdu"
    coils: CoilLines | None = None  # with_kspace


def make_setup(source: Source | None, recipe: Recipe, seed: int, index: int) -> Setup:
    """Draw setup `index` of the sequence `seed`; the same arguments make the same arrays.

    The target is the image without noise that the estimated maps describe, sum conj(S) C rho inside the object; a
    second, noisy acquisition of all lines with supervision "noise2noise". Without a source there are phantoms and
    textures only. Raises DataError for ranges that never give an object.
    """
    for attempt in range(TRIES):
        chance = np.random.default_rng([seed, index, attempt])
        try:
            scan = draw_scan(source, recipe, chance)
            return setup_of(scan, recipe, chance, strip(scan.calibration, recipe, chance))
        except LinearError:
            continue
    raise DataError(f"setup {index} of seed {seed}: {TRIES} scans showed no object; widen the recipe's ranges")


def setup_of(scan: Scan, recipe: Recipe, chance: np.random.Generator, region: tuple[slice, slice]) -> Setup:
    """Acquire the frames of a scan in a region (rows, columns), and state the network's problem for them."""
    rows, columns = region
    acquired = scan.sampling.acquired
    given, lost = split_lines(chance, scan.sampling) if recipe.supervision == "ssdu" else (acquired, None)
    maps = (scan.calibration.maps * scan.calibration.inside)[:, :, columns]
    width = slice(0, maps.shape[2])
    level = level_of(scan.calibration.lines, scan.calibration.inside)
    box = network_box(maps, given, regularisation_of(level, given, recipe.strength), box=(rows, width))
    made = invert_box(box)
    assert made is not None  # noqa: S101
    normal = np.empty((recipe.frames, 2, *box.padded), np.float32)
    target = np.empty_like(normal)
    kept: list[NDArray[np.complex64]] = []
    lines: list[NDArray[np.complex64]] = []
    snrs: list[float] = []
    coils = scan.coils[:, :, columns]
    for frame in range(recipe.frames):
        image, snr = (scan.first[:, columns], scan.first_snr) if frame == 0 else scan.image(chance, recipe, columns)
        received = coils * image
        hybrid = _acquire(received, acquired, chance)
        if lost is not None:
            kept.append(hybrid[:, lost])
            hybrid[:, lost] = 0
        if recipe.with_kspace:
            lines.append(hybrid)
        normal[frame] = normal_image(box, hybrid)[0]
        target[frame] = _combined(box, received, recipe, chance)
        snrs.append(snr)
    facts: dict[str, str | float | int] = {
        "object": scan.object,
        "kind": scan.sampling.kind,
        "maps": scan.method,
        "acceleration": scan.sampling.acceleration,
        "acquired": float(acquired.mean()),
        "calibration_lines": scan.calibration.lines.shape[1],
        "coils": len(coils),
        "lines": scan.grid.lines,
        "pixel_mm": round(scan.grid.pixel_mm[0], 2),
        "regularisation": round(box.columns_problem.regularisation, 4),
        "snr": " ".join(f"{snr:.0f}" for snr in snrs),
    }
    loss = None if lost is None else _loss_lines(box, lost, np.stack(kept))
    inside, whole = box.inside.astype(np.float32), _coil_lines(scan, box, columns, lines) if lines else None
    return Setup(made.inverse, scan_of(box), made.noise, normal, target, inside, facts, given, loss, whole)


def _coil_lines(scan: Scan, box: NetworkBox, columns: slice, lines: list[NDArray[np.complex64]]) -> CoilLines:
    learned = scan.calibration
    calibration = np.ascontiguousarray(learned.lines[:, :, columns])
    return CoilLines(np.stack(lines), calibration, learned.first_line, int(box.columns_problem.rows[0]))


def _acquire(received: NDArray[np.complex64], acquired: Mask, chance: np.random.Generator) -> NDArray[np.complex64]:
    """Hybrid space (coil, line, x) with noise on the acquired lines, zero elsewhere."""
    hybrid = to_kspace(received, 1)
    hybrid[:, acquired] += noise(chance, (len(hybrid), int(acquired.sum()), hybrid.shape[2]))
    hybrid[:, ~acquired] = 0
    return hybrid


def _combined(
    box: NetworkBox, received: NDArray[np.complex64], recipe: Recipe, chance: np.random.Generator
) -> NDArray[np.float32]:
    """Planes of what the estimated maps make of fully sampled coil images (coil, line, x)."""
    if recipe.supervision == "noise2noise":
        received = received + noise(chance, received.shape)
    return as_planes(box, (box.columns_problem.maps.conj() * received[:, box.rows]).sum(0))


def _loss_lines(box: NetworkBox, lost: NDArray[np.intp], lines: NDArray[np.complex64]) -> LossLines:
    height, width = box.columns_problem.maps.shape[1:]
    maps = np.zeros((len(box.columns_problem.maps), *box.padded), np.complex64)
    maps[:, :height, :width] = box.columns_problem.maps
    length = box.shape[0]
    at = np.zeros(box.padded[0])
    at[:height] = box.columns_problem.rows - length // 2
    transform = np.exp(-2j * np.pi * np.outer(lost - length // 2, at) / length) / np.sqrt(length)
    return LossLines(lost, lines, maps, transform.astype(np.complex64))

"""How far a network image is from its linear companion: everywhere on the average, and at the most striking place.

A linear image is noisy, and right on the average. Its noise is amplified by the geometry of the coils (g-factor;
Pruessmann et al., Magn Reson Med 1999; 42:952), from place to place, and has a colour where calibration lines are data.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Striking", "smooth_difference", "striking_difference"]

BLOCK: Final = 16  # pixels; see smooth_difference
CELL: Final = 3  # pixels; patches are made of cells
PATCHES: Final = ((1, 8), (2, 12), (4, 16), (8, 32))  # cells across, and across the neighbourhood they stand out from
FEWEST: Final = 1 / 16  # of a neighbourhood that must lie in the object
QUIET: Final = 0.01  # of the object's mean power: no neighbourhood counts as quieter

Complex = NDArray[np.complex64]
T = TypeVar("T", np.float32, np.complex64)


@dataclass(frozen=True, slots=True)
class Striking:
    """Where two images differ most."""

    score: float  # root mean square difference of such patches in the neighbourhood is 1
    row: int
    column: int
    size: int  # pixels across


def smooth_difference(network: Complex, linear: Complex) -> float:
    """How far two images (y, x) of one phase are apart once noise and detail are averaged out, by the second's size.

    Means of blocks of BLOCK x BLOCK pixels.
    """
    ours, theirs = _means(network), _means(linear)
    size = float(np.linalg.norm(theirs))
    return float(np.linalg.norm(ours - theirs)) / size if size else float("nan")


def _means(image: Complex) -> Complex:
    rows, columns = image.shape[0] // BLOCK, image.shape[1] // BLOCK
    cut = image[: rows * BLOCK, : columns * BLOCK]
    means: Complex = cut.reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    return means


def striking_difference(network: Complex, linear: Complex, inside: NDArray[np.bool_]) -> Striking:
    """Find the patch of 3, 6, 12 or 24 pixels in which two images (y, x) of one phase differ most, within the object.

    The difference from a good network image is the linear one's noise. How much of it a patch may have is measured on
    the patches around it (24 to 96 pixels), so that it is the g-factor noise of that place, colour and all. A score
    that is not a number stands for images without an object.
    """
    cells = _cells(network - linear)
    seen = inside[CELL // 2 :: CELL, CELL // 2 :: CELL][: cells.shape[0], : cells.shape[1]].astype(np.float32)
    found = Striking(float("nan"), 0, 0, 0)
    for size, near in PATCHES:
        sums = cells if size == 1 else _sums(cells, size)
        power = (sums.real**2 + sums.imag**2) * seen
        floor = max(QUIET * near * near * float(power.mean()), float(np.finfo(np.float32).tiny))
        around = _sums(power, near)
        power *= np.maximum(_sums(seen, near), near * near * FEWEST)
        power /= np.maximum(around, floor)
        row, column = divmod(int(power.argmax()), power.shape[1])
        score = float(power[row, column]) ** 0.5
        if score > 0 and not score <= found.score:
            middle = CELL // 2 if size == 1 else CELL
            found = Striking(score, row * CELL + middle, column * CELL + middle, size * CELL)
    return found


def _cells(image: Complex) -> Complex:
    """Sums of CELL x CELL pixels."""
    rows, columns = (length // CELL * CELL for length in image.shape)
    lines = image[:rows:CELL].copy()
    for n in range(1, CELL):
        lines += image[n:rows:CELL]
    cells = lines[:, :columns:CELL].copy()
    for n in range(1, CELL):
        cells += lines[:, n:columns:CELL]
    return cells


def _sums(plane: NDArray[T], size: int) -> NDArray[T]:
    """Sums over size x size places around each, zero beyond the edge."""
    height, width = plane.shape
    before = size - size // 2
    padded = np.zeros((height + size, width + size), plane.dtype)
    padded[before : before + height, before : before + width] = plane
    np.cumsum(padded, 0, out=padded)
    rows = padded[size:] - padded[:-size]
    np.cumsum(rows, 1, out=rows)
    return rows[:, size:] - rows[:, :-size]

"""What can be told from the lines that came."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["central_block", "gapless", "grid_of", "step_of"]

Mask: TypeAlias = NDArray[np.bool_]

MOST_CALIBRATION_LINES = 32


def gapless(acquired: Mask) -> bool:
    """Tell whether the lines (line,) that came are one run that holds the centre and most of k-space."""
    rows = np.flatnonzero(acquired)
    run = int(rows[-1] - rows[0]) + 1
    return run == len(rows) and 2 * run > len(acquired) and rows[0] <= len(acquired) // 2 <= rows[-1]


def central_block(acquired: Mask) -> slice:
    """Rows of the run of acquired lines (line,) around the centre, at most MOST_CALIBRATION_LINES of them."""
    centre = len(acquired) // 2
    if not acquired[centre]:
        return slice(centre, centre)
    reach = MOST_CALIBRATION_LINES // 2
    before = acquired[max(0, centre - reach) : centre + 1][::-1]
    after = acquired[centre : centre + reach]
    first = centre - (len(before) - 1 if before.all() else int(np.argmin(before)) - 1)
    last = centre + (len(after) - 1 if after.all() else int(np.argmin(after)) - 1)
    return slice(first, last + 1)


def grid_of(acquired: Mask) -> tuple[int, int] | None:
    """(acceleration, first line) of the sparsest grid whose lines (line,) all came and that spans the lines that came.

    Other lines may have come too, and the grid need not divide their number. None for irregular masks.
    """
    lines = np.flatnonzero(acquired)
    widest = int(np.diff(lines).max(initial=1))
    for first in lines[:widest]:
        grid = np.arange(first % widest, lines[-1] + 1, widest)
        if acquired[grid].all() and lines[-1] - grid[-1] < widest:
            return widest, int(first % widest)
    return None


def step_of(acquired: Mask) -> int | None:
    """Acceleration of a mask (line,) that is a grid, or a part of one, and lines around the centre; None of any other.

    A few lines that were drawn by chance may make a grid, too, of which most of them are no part.
    """
    lines = np.flatnonzero(acquired)
    grid = grid_of(acquired[lines[0] : lines[-1] + 1]) if len(lines) else None
    if grid is None:
        return None
    step, first = grid
    others = acquired.copy()
    others[lines[0] + first :: step] = False
    others[central_block(acquired)] = False
    return None if others.any() else step

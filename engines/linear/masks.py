"""What can be told from the lines that came."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["central_block", "gapless"]

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

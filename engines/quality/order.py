"""Order: whether readouts come as the scanner numbered and stamped them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ran_back", "steady"]

HALF_DAY: Final = 17_280_000  # ticks of 2.5 ms: a clock that falls back by more has passed midnight
NOWHERE: Final = np.zeros(0, np.intp)
HERE: Final = np.zeros(1, np.intp)


def steady(numbers: NDArray[np.integer], before: int) -> bool:
    """Tell whether numbers (readout,) go on by one each from the number before them."""
    count = len(numbers)
    first, last = int(numbers[0]), int(numbers[-1])
    if first != before + 1 or last != before + count:
        return False
    return count < 3 or bool((np.diff(numbers.astype(np.int64)) == 1).all())


def ran_back(stamps: NDArray[np.integer], before: int) -> NDArray[np.intp]:
    """Positions of the time stamps (readout,) that are earlier than the one before them; midnight is no step back."""
    if len(stamps) == 1:  # the live case, five times as fast
        return NOWHERE if not -HALF_DAY < int(stamps[0]) - before < 0 else HERE
    step = np.diff(stamps.astype(np.int64), prepend=before)
    return np.flatnonzero((step < 0) & (step > -HALF_DAY))

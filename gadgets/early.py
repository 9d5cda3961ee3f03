"""Frames told before their last lines are there, with those of the frame before in their place: a network can begin.

View sharing (Riederer et al., Magn Reson Med 1988; 8:1), of outer lines alone; whoever uses them looks, when the frame
is complete, whether they have changed.
"""

from dataclasses import dataclass
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.placement import Placement
from protocols.messages import EarlyFrame, Record

__all__ = ["Foreteller"]

FAR: Final = 0.25  # of the way from the centre to the edge of k-space; nearer lines carry the contrast


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What is kept of the last frame of a slice."""

    acquired: NDArray[np.bool_]  # (e2, e1)
    count: int  # of its lines
    rows: NDArray[np.intp]  # far from the centre
    lines: NDArray[np.complex64]  # (coil, e2, row, x)


class Foreteller:
    """Knows the frames before, by slice, contrast, phase and set."""

    def __init__(self, most: int) -> None:
        self._most = most  # lines that may be borrowed; 0 tells nothing
        self._before: dict[tuple[int, ...], _Before] = {}
        self._numbers = count(1)

    def tell(self, which: tuple[int, ...], placed: Placement, header: Record) -> EarlyFrame | None:
        """Tell the frame, where no more than the last lines of the one before are missing, and these lie far out."""
        before = self._before.get(which)
        if before is None or placed.repeated:
            return None
        left = before.count - placed.filled
        if not 0 < left <= self._most:
            return None
        due = before.acquired & (placed.seen == 0)
        rows = np.flatnonzero(due.any(0))
        if len(rows) != left or not np.isin(rows, before.rows).all():
            return None
        hybrid = placed.hybrid.copy()
        hybrid[:, :, rows] = before.lines[:, :, np.searchsorted(before.rows, rows)]
        return EarlyFrame(hybrid, before.acquired, rows, header, next(self._numbers))

    def keep(self, which: tuple[int, ...], hybrid: NDArray[np.complex64], acquired: NDArray[np.bool_]) -> None:
        """Keep what a later frame may borrow of a frame (coil, e2, e1, x)."""
        if not self._most or len(acquired) > 1:
            return
        lines = acquired.shape[1]
        far = np.abs(np.arange(lines) - lines // 2) >= FAR * lines / 2
        rows = np.flatnonzero(acquired[0] & far)
        self._before[which] = _Before(acquired, int(np.count_nonzero(acquired)), rows, hybrid[:, :, rows])

    def confirmed(self, told: EarlyFrame, placed: Placement) -> bool:
        """Whether the frame has become what was told: the same lines, none of them twice."""
        return not placed.repeated and np.array_equal(told.acquired, placed.seen > 0)

"""Where lines of one frame are gathered: placed, averaged, counted."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["Placement"]

Rows = NDArray[np.intp]


class Placement:
    """K-space of one frame under way, and what has come of it.

    `hybrid` (coil, e2, e1, x) holds the sum over averages until `finish`, `seen` (e2, e1) how many readouts were
    placed, `filled` in how many places, `calibrating` (e2, e1) which of them were calibration lines, `repeated` the
    rows that came twice.
    """

    def __init__(self, coils: int, shape: tuple[int, int], samples: int, averages: int = 1) -> None:
        self.hybrid = np.zeros((coils, *shape, samples), np.complex64)
        self.seen = np.zeros(shape, np.uint16)
        self.calibrating = np.zeros(shape, np.bool_)
        self.filled = 0
        self.repeated: list[int] = []
        self._averages = averages

    def put(self, slabs: Rows, rows: Rows, samples: NDArray[np.complex64], average: NDArray[np.uint16]) -> None:
        """Place samples (readout, coil, x) at (slab, row); the last of two equal lines stays."""
        if len(rows) == 1:
            self._put_one(int(slabs[0]), int(rows[0]), samples[0], int(average[0]))
            return
        alone = len(np.unique(slabs * self.seen.shape[1] + rows)) == len(rows)
        if alone and not self.seen[slabs, rows].any():
            self.hybrid[:, slabs, rows] = samples.transpose(1, 0, 2)
            self.seen[slabs, rows] = 1
            self.filled += len(rows)
            return
        for n, (slab, row) in enumerate(zip(slabs.tolist(), rows.tolist(), strict=True)):
            self._put_one(slab, row, samples[n], int(average[n]))

    def _put_one(self, slab: int, row: int, samples: NDArray[np.complex64], average: int) -> None:
        """Place one readout, or add a further average; a repeated line takes the place of what was there."""
        seen = int(self.seen[slab, row])
        if not seen:
            self.hybrid[:, slab, row] = samples
            self.seen[slab, row] = 1
            self.filled += 1
            return
        if self._averages > 1 and average >= seen:
            self.hybrid[:, slab, row] += samples
            self.seen[slab, row] += 1
            return
        self.repeated.append(row)
        self.hybrid[:, slab, row] = samples * np.float32(seen)

    def finish(self) -> NDArray[np.complex64]:
        """Turn the sum over averages into their mean and hand the samples (coil, e2, e1, x) over."""
        if self._averages > 1:
            self.hybrid /= np.maximum(self.seen, 1)[None, :, :, None].astype(np.float32)
        return self.hybrid

    def calibration_block(self, fewest: int = 4) -> tuple[int, NDArray[np.complex64]] | None:
        """First row and a copy (coil, e2, line, x) of the run of full rows with most calibration lines, or None."""
        marked = np.asarray(self.calibrating.any(axis=0))
        used = self.seen[self.seen.any(axis=1)]
        full = np.asarray((used > 0).all(axis=0) & self.seen.any(axis=0))
        count, start, stop = max(((int(marked[a:b].sum()), a, b) for a, b in _runs(full)), default=(0, 0, 0))
        if count < fewest:
            return None
        block = self.hybrid[:, :, start:stop].copy()
        if self._averages > 1:
            block /= np.maximum(self.seen[:, start:stop], 1)[None, :, :, None].astype(np.float32)
        return start, block


def _runs(full: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

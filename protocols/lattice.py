"""Where a readout belongs: encode steps to rows of the k-space matrix, and which rows a scan should fill."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocols.scan import Encoding, Limit

__all__ = ["Lattice"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Phase-encode matrix of one encoding space; row n // 2 is k = 0."""

    lines: int  # rows along encode step 1
    partitions: int  # rows along encode step 2
    limit1: Limit
    limit2: Limit
    acceleration: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, encoding: Encoding) -> "Lattice":
        """Read it from an encoding space; limits that the header omits are the whole matrix."""
        _, lines, partitions = encoding.encoded_matrix
        return cls(
            lines,
            partitions,
            encoding.limits.get("kspace_encoding_step_1") or Limit(0, lines - 1, lines // 2),
            encoding.limits.get("kspace_encoding_step_2") or Limit(0, partitions - 1, partitions // 2),
            encoding.acceleration,
        )

    def rows(self, step1: NDArray[np.integer]) -> NDArray[np.intp]:
        """Rows of encode steps 1; outside 0 … lines - 1 where the step cannot be placed."""
        return _rows(step1, self.limit1, self.lines)

    def slabs(self, step2: NDArray[np.integer]) -> NDArray[np.intp]:
        """Rows of encode steps 2."""
        return _rows(step2, self.limit2, self.partitions)

    def steps(self, rows: NDArray[np.integer]) -> NDArray[np.intp]:
        """Encode steps 1 that lie in these rows."""
        return _steps(rows, self.limit1, self.lines)

    def steps2(self, slabs: NDArray[np.integer]) -> NDArray[np.intp]:
        """Encode steps 2 that lie in these rows."""
        return _steps(slabs, self.limit2, self.partitions)

    def places(
        self, step1: NDArray[np.integer], step2: NDArray[np.integer]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], Mask]:
        """Slabs and rows of (step 1, step 2), and which of them lie inside the header's limits and the matrix."""
        rows, slabs = self.rows(step1), self.slabs(step2)
        inside = _between(rows, 0, self.lines - 1) & _between(step1, self.limit1.minimum, self.limit1.maximum)
        inside &= _between(slabs, 0, self.partitions - 1) & _between(step2, self.limit2.minimum, self.limit2.maximum)
        return slabs, rows, inside

    def grid(self, offset1: int, offset2: int = 0) -> Mask:
        """Rows (e2, e1) of the equispaced grid within the limits; an offset is a row the grid goes through."""
        r1, r2 = self.acceleration
        rows = np.arange(self.lines)
        slabs = np.arange(self.partitions)
        along1 = ((rows - offset1) % r1 == 0) & _within(rows, self.limit1, self.lines)
        along2 = ((slabs - offset2) % r2 == 0) & _within(slabs, self.limit2, self.partitions)
        return along2[:, None] & along1[None, :]


def _rows(step: NDArray[np.integer], limit: Limit, count: int) -> NDArray[np.intp]:
    """Rows of encode steps; k-space is periodic: a full set of steps off the centre comes in at the far end."""
    row = step.astype(np.intp) - limit.centre + count // 2
    return row % count if _periodic(limit, count) else row


def _steps(rows: NDArray[np.integer], limit: Limit, count: int) -> NDArray[np.intp]:
    """Encode steps of rows: the inverse of _rows."""
    step = rows.astype(np.intp) + limit.centre - count // 2
    return step % count if _periodic(limit, count) else step


def _between(values: NDArray[np.integer], least: int, most: int) -> Mask:
    return (values >= least) & (values <= most)


def _periodic(limit: Limit, count: int) -> bool:
    return limit.minimum == 0 and limit.maximum == count - 1


def _within(rows: NDArray[np.intp], limit: Limit, count: int) -> Mask:
    if _periodic(limit, count):
        return np.ones(len(rows), np.bool_)
    step = rows + limit.centre - count // 2
    return _between(step, limit.minimum, limit.maximum)

"""What a network made of a frame before its last lines were there, and whether it still holds when they are."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.unrolled.prepared import Prepared

__all__ = ["Answer", "Early"]

SURE: Final = 4  # standard deviations of the energy of noise alone
KNOWN: Final = 0.005  # to which the noise is known


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network made of a frame, and all of what follows that takes no line of it."""

    planes: NDArray[np.float32]  # (2, row, column) the image
    error: NDArray[np.float32]  # (y, x) under which nine pixels of ten have their error
    error_percentiles: tuple[float, ...]
    predicted: NDArray[np.complex64] | None  # (coil, line, column) withheld lines, where there are any


@dataclass(frozen=True, slots=True, eq=False)
class Early:
    """What a network made of a frame whose last lines were borrowed from the frame before."""

    prepared: Prepared
    borrowed: NDArray[np.intp]  # rows of k-space
    lines: NDArray[np.complex64]  # (coil, row, column) what was borrowed
    answer: Answer

    def holds(self, prepared: Prepared, hybrid: NDArray[np.complex64]) -> bool:
        """Whether lines of the frame (coil, line, x) that have come since differ from the borrowed ones by noise alone.

        Lines have noise of sigma 1.
        """
        if prepared is not self.prepared or prepared.averages > 1:
            return False
        apart = hybrid[:, self.borrowed, prepared.box.columns] - self.lines
        return bool(np.vdot(apart, apart).real <= 2 * (apart.size * (1 + KNOWN) + SURE * apart.size**0.5))

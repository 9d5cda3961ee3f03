"""What lies in the field of view: a grid finer than the matrix, and an object that looks different in every scan."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "Scene"]

Scene: TypeAlias = Callable[[np.random.Generator], NDArray[np.float32]]  # one scan's magnitude (y, x) on the fine grid


@dataclass(frozen=True, slots=True)
class Grid:
    """The matrix of a scan, and the finer grid that objects are drawn on."""

    lines: int  # along phase encoding (y, rows)
    width: int  # along the readout (x, columns)
    pixel_mm: tuple[float, float]  # y, x
    fine: int = 2  # samples per pixel and direction; 1 draws pixels, without Gibbs ringing

    @property
    def shape(self) -> tuple[int, int]:
        """Samples (y, x) of the fine grid."""
        return self.lines * self.fine, self.width * self.fine

    @property
    def fov_mm(self) -> tuple[float, float]:
        """Field of view (y, x)."""
        return self.lines * self.pixel_mm[0], self.width * self.pixel_mm[1]

    @property
    def sample_mm(self) -> float:
        """Mean distance of samples of the fine grid."""
        return (self.pixel_mm[0] * self.pixel_mm[1]) ** 0.5 / self.fine

"""Sets of lines that test cases are sampled with: 24 calibration lines, the rest on a grid or by chance."""

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["CALIBRATION_LINES", "Pattern", "acquired_lines", "first_calibration_line"]

Pattern: TypeAlias = Literal["equispaced", "random"]

CALIBRATION_LINES: Final = 24
FALL_OFF: Final = 2.0  # power with which the density of random lines falls towards the edge of k-space


def first_calibration_line(lines: int) -> int:
    """Row of the first calibration line in a matrix of so many lines."""
    return lines // 2 - CALIBRATION_LINES // 2


def acquired_lines(lines: int, acceleration: int, pattern: Pattern, seed: int = 0) -> NDArray[np.bool_]:
    """Mask (line,) that holds the calibration lines; random ones are as many as those on the grid would be."""
    first = first_calibration_line(lines)
    grid = np.zeros(lines, np.bool_)
    grid[lines // 2 % acceleration :: acceleration] = True
    grid[first : first + CALIBRATION_LINES] = True
    if pattern == "equispaced":
        return grid
    mask = np.zeros(lines, np.bool_)
    mask[first : first + CALIBRATION_LINES] = True
    away = np.abs(np.arange(lines) - lines // 2) / (lines // 2)
    density = np.where(mask, 0, (1.02 - away.clip(max=1)) ** FALL_OFF)
    extra = np.count_nonzero(grid) - CALIBRATION_LINES
    chance = np.random.default_rng([lines, acceleration, seed])
    mask[chance.choice(lines, extra, replace=False, p=density / density.sum())] = True
    return mask

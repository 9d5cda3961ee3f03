"""Smooth maps from a coarse grid to the full matrix, as two real matrix products."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["coarse_grid", "interpolation", "upsample"]


def coarse_grid(length: int, points: int) -> NDArray[np.floating[Any]]:
    """Positions, in pixels of the full matrix, of `points` centred samples: index points // 2 is pixel length // 2."""
    return (np.arange(points) - points // 2) * (length / points) + length // 2


@lru_cache(maxsize=32)
def interpolation(length: int, points: int) -> NDArray[np.float32]:
    """Cubic spline matrix (length, points) from the coarse grid to the full one; read only, ends held constant."""
    from scipy.interpolate import CubicSpline  # a tenth of a second, which the start of the plugin should not wait for

    grid = coarse_grid(length, points)
    at = np.clip(np.arange(length), grid[0], grid[-1])
    matrix = CubicSpline(grid, np.eye(points), axis=0, bc_type="natural")(at).astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def upsample(coarse: NDArray[Any], lines: int, width: int) -> NDArray[np.complex64]:
    """Interpolate (..., y, x) complex values from their coarse grid to (..., lines, width)."""
    rows = interpolation(lines, coarse.shape[-2])
    columns = interpolation(width, coarse.shape[-1])
    fine = np.empty((*coarse.shape[:-2], lines, width), np.complex64)
    fine.real = rows @ (coarse.real.astype(np.float32) @ columns.T)
    fine.imag = rows @ (coarse.imag.astype(np.float32) @ columns.T)
    return fine

"""Detail below the voxels of the volumes: grain at random scales, and vessels."""

import numpy as np
from numpy.typing import NDArray

from trt_build.data.fields import smooth_noise
from trt_build.data.scene import Grid

__all__ = ["grain", "vessels"]


def grain(chance: np.random.Generator, grid: Grid, lengths_mm: tuple[float, float]) -> NDArray[np.float32]:
    """Band-limited noise (y, x) of unit variance, stronger in some places than in others."""
    length = chance.uniform(*lengths_mm) / grid.sample_mm
    strength = np.clip(0.6 + 0.5 * smooth_noise(chance, grid.shape, 30 / grid.sample_mm)[0], 0, 2)
    return smooth_noise(chance, grid.shape, length)[0] * strength


def vessels(chance: np.random.Generator, grid: Grid) -> NDArray[np.float32]:
    """Thin winding lines (y, x), 1 at their middle: where smooth noise changes its sign, in parts of the picture."""
    winding = smooth_noise(chance, grid.shape, chance.uniform(12, 30) / grid.sample_mm)[0]
    steep_y, steep_x = np.gradient(winding)
    width = chance.uniform(0.3, 0.9) / grid.sample_mm
    distance = np.abs(winding) / (np.sqrt(steep_y**2 + steep_x**2) + 1e-3)
    where = smooth_noise(chance, grid.shape, 25 / grid.sample_mm)[0] > 0.4
    return np.clip(1.5 - distance / width, 0, 1) * where

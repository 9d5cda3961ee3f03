"""Phase of an image: smooth, sometimes with a jump by pi, now and then none."""

import numpy as np
from numpy.typing import NDArray

from trt_build.data.fields import enlarge
from trt_build.data.scene import Grid

__all__ = ["random_phase"]


def random_phase(chance: np.random.Generator, grid: Grid) -> NDArray[np.float32]:
    """Cosine and sine (2, y, x) on the fine grid: polynomial and noise, a constant (1 in 6), with a jump (1 in 8)."""
    angle = np.full((24, 24), chance.uniform(-np.pi, np.pi), np.float32)
    if chance.random() > 1 / 6:
        y, x = np.meshgrid(*(np.linspace(-1, 1, 24, dtype=np.float32),) * 2, indexing="ij")
        strength = chance.uniform(0, 2.5)
        for form in (y, x, y * x, y**2, x**2):
            angle += np.float32(strength * chance.normal(0, 0.6)) * form
        points = int(chance.integers(4, 9))
        noise = chance.standard_normal((points, points), np.float32)
        angle += np.float32(strength * chance.uniform(0, 0.4)) * enlarge(noise, (24, 24))
    fine = enlarge(angle, grid.shape)
    if chance.random() < 1 / 8:
        sides = enlarge(chance.standard_normal((5, 5), np.float32), grid.shape)
        fine += np.where(sides > 0.3, np.float32(np.pi), np.float32(0))
    return np.stack([np.cos(fine), np.sin(fine)])

"""Phase of an image: from none at all to a gradient echo's, which turns several times near air and jumps at fat."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trt_build.data.fields import enlarge
from trt_build.data.scene import Grid

__all__ = ["random_phase"]

POINTS: Final = 48  # of the coarse grid that phase is drawn on
SOURCES: Final = 3  # of susceptibility, at most


def random_phase(chance: np.random.Generator, grid: Grid) -> NDArray[np.float32]:
    """Cosine and sine (2, y, x) on the fine grid: none (1 in 6), gentle, or (1 in 2) that of a long echo time.

    A jump by some angle (1 in 4) is what fat makes, or a contrast that is negative.
    """
    angle = np.full((POINTS, POINTS), chance.uniform(-np.pi, np.pi), np.float32)
    drawn = chance.random()
    if drawn > 1 / 6:
        angle += _smooth(chance, chance.uniform(0, 2.5))
    if drawn > 1 / 2:
        angle += _smooth(chance, chance.uniform(0, 5))
        for _ in range(int(chance.integers(SOURCES + 1))):
            angle += _source(chance)
    fine = enlarge(angle, grid.shape)
    if chance.random() < 1 / 4:
        sides = enlarge(chance.standard_normal((5, 5), np.float32), grid.shape)
        fine += np.where(sides > 0.3, np.float32(chance.choice([np.pi, chance.uniform(-np.pi, np.pi)])), np.float32(0))
    return np.stack([np.cos(fine), np.sin(fine)])


def _smooth(chance: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Polynomial and noise on the coarse grid, `strength` radians or so."""
    y, x = _coarse()
    angle = np.zeros((POINTS, POINTS), np.float32)
    for form in (y, x, y * x, y**2, x**2):
        angle += np.float32(strength * chance.normal(0, 0.6)) * form
    points = int(chance.integers(4, 9))
    noise = chance.standard_normal((points, points), np.float32)
    angle += np.float32(strength * chance.uniform(0, 0.4)) * enlarge(noise, (POINTS, POINTS))
    return angle


def _source(chance: np.random.Generator) -> NDArray[np.float32]:
    """Field of something like a sphere of air on the coarse grid: that of a dipole, in any plane, blunt in its middle.

    In radians up to 10 at its surface.
    """
    y, x = _coarse()
    down, across = y - chance.uniform(-0.9, 0.9), x - chance.uniform(-0.9, 0.9)
    radius = chance.uniform(0.05, 0.3)
    along = np.cos(tilt := chance.uniform(0, np.pi)) * down + np.sin(tilt) * across
    away = down**2 + across**2 + np.float32(radius**2)
    field: NDArray[np.float32] = (3 * along**2 / away - 1) * (np.float32(2 * radius**2) / away) ** 1.5
    return np.float32(chance.uniform(-10, 10)) * field


def _coarse() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    across = np.linspace(-1, 1, POINTS, dtype=np.float32)
    y, x = np.meshgrid(across, across, indexing="ij")
    return y, x

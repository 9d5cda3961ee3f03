"""Where the eyes of a T1 volume are: balls of dark fluid within brighter fat, near where eyes are."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

__all__ = ["find_eye"]

RADII_MM: Final = (10.0, 11.0, 12.0, 13.0)
EDGE_MM: Final = 1.0  # on either side of the border, which is looked at by neither
SHELL_MM: Final = 3.0  # of fat and muscle around it
DARK: Final = (0.15, 0.5)  # brightness by that of white matter: air is darker
NEAR_MM: Final = 22.0  # of where it is looked for
PULL: Final = 0.004  # of the score by mm away from there
LEAST: Final = 0.08  # score


def find_eye(
    t1: NDArray[np.float32], affine: NDArray[np.float64], white: float, about_mm: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Middle (3,) of the eyeball near a place, mm of `affine` ((4, 4), voxel to mm); None where there is no such ball.

    The score is contrast of shell and ball less the ball's own variation, over RADII_MM.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    around = np.ceil((NEAR_MM + RADII_MM[-1] + EDGE_MM + SHELL_MM) / spacing).astype(int)
    middle = np.round(np.linalg.inv(affine[:3, :3]) @ (about_mm - affine[:3, 3])).astype(int)
    low = np.maximum(middle - around, 0)
    box = np.clip(t1[tuple(slice(a, b) for a, b in zip(low, middle + around + 1, strict=True))] / white, 0, 1)
    if min(box.shape) < 2 * RADII_MM[-1] / spacing.min():
        return None
    index = np.stack(np.meshgrid(*map(np.arange, box.shape), indexing="ij"), -1) + low
    away = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3] - about_mm, axis=-1)
    best, place = LEAST, None
    for radius in RADII_MM:
        score = _score(box, spacing, radius)
        score = np.where(away < NEAR_MM, score - PULL * away, -1.0)
        at = np.array(np.unravel_index(score.argmax(), score.shape))
        if score[tuple(at)] > best:
            best, place = float(score[tuple(at)]), affine[:3, :3] @ (_peak(score, at) + low) + affine[:3, 3]
    return place


def _score(box: NDArray[np.float32], spacing: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    reach = np.ceil((radius + EDGE_MM + SHELL_MM) / spacing).astype(int)
    grid = np.meshgrid(*(mm * np.arange(-n, n + 1) for mm, n in zip(spacing, reach, strict=True)), indexing="ij")
    away = np.sqrt(sum(axis**2 for axis in grid))
    ball = away <= radius - EDGE_MM
    shell = (away > radius + EDGE_MM) & (away <= radius + EDGE_MM + SHELL_MM)
    inside, outside = (fftconvolve(box, part / part.sum(), mode="same") for part in (ball, shell))
    squares = fftconvolve(box**2, ball / ball.sum(), mode="same")
    score = outside - inside - np.sqrt(np.maximum(squares - inside**2, 0))
    return np.where((inside > DARK[0]) & (inside < DARK[1]), score, -1.0)


def _peak(score: NDArray[np.float64], at: NDArray[np.intp]) -> NDArray[np.float64]:
    """The maximum between voxels, by a parabola along each axis."""
    found = at.astype(np.float64)
    for axis in range(3):
        if 0 < at[axis] < score.shape[axis] - 1:
            step = np.eye(3, dtype=np.intp)[axis]
            left, here, right = (float(score[tuple(at + n * step)]) for n in (-1, 0, 1))
            bend = left - 2 * here + right
            if min(left, right) > -0.5 and bend < 0:
                found[axis] += float(np.clip((left - right) / (2 * bend), -0.5, 0.5))
    return found

"""Smooth random fields, and cubic interpolation between grids as two matrix products."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["enlarge", "low_pass", "smooth_noise"]

Field = NDArray[np.float32]


@lru_cache(maxsize=256)
def _keys(length: int, points: int) -> Field:
    """Matrix (length, points) of cubic convolution from points to samples over the same stretch; read only.

    Keys, IEEE Trans Acoust Speech Signal Process 1981; 29:1153.
    """
    at = np.linspace(0, points - 1, length)
    base = np.minimum(np.floor(at).astype(np.intp), max(points - 2, 0))
    t = at - base
    weights = np.stack(
        [
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        ]
    )
    matrix = np.zeros((length, points), np.float32)
    for offset, weight in zip(range(-1, 3), weights, strict=True):
        np.add.at(matrix, (np.arange(length), np.clip(base + offset, 0, points - 1)), weight)
    matrix.flags.writeable = False
    return matrix


def enlarge(coarse: NDArray[Any], shape: tuple[int, int]) -> Field:
    """Interpolate (..., y, x) to (..., *shape), corners on corners."""
    rows, columns = _keys(shape[0], coarse.shape[-2]), _keys(shape[1], coarse.shape[-1])
    return rows @ (coarse.astype(np.float32, copy=False) @ columns.T)


def smooth_noise(chance: np.random.Generator, shape: tuple[int, int], length: float, count: int = 1) -> Field:
    """Random fields (count, *shape) of about unit variance that change over `length` samples."""
    points = tuple(int(size / max(length, 1.0)) + 2 for size in shape)
    coarse = chance.standard_normal((count, *points), np.float32)
    return enlarge(coarse, shape) * np.float32(1.2)


@lru_cache(maxsize=64)
def low_pass(pixels: int, fine: int) -> Field:
    """Matrix (pixels, pixels * fine) that keeps what k-space of `pixels` lines holds, Gibbs ringing included."""
    if fine == 1:
        return np.eye(pixels, dtype=np.float32)
    samples = pixels * fine
    highest = (pixels - 1) // 2
    k = np.arange(1, highest + 1)
    lag = np.arange(samples)
    kernel = 1 + 2 * np.cos(2 * np.pi * np.outer(lag, k) / samples).sum(1)
    if pixels % 2 == 0:
        kernel += np.cos(np.pi * lag * pixels / samples)  # half of the highest frequency on either side
    matrix = (kernel / samples).astype(np.float32)[(np.arange(pixels)[:, None] * fine - np.arange(samples)) % samples]
    matrix.flags.writeable = False
    return matrix

"""Receive arrays nobody has built: loops round the object, their noise, and what is left of both after whitening."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trt_build.data.fields import enlarge
from trt_build.data.scene import Grid

__all__ = ["random_coils"]

Points = NDArray[np.float32]  # (..., 3) mm: down the rows, along the columns, through the slice
SEGMENTS: Final = 16  # straight pieces of a loop
LATTICE: Final = 18  # fields are computed at so many points each way and interpolated
NEAREST_MM: Final = 22.0  # a wire counts as no nearer than that
GOLDEN: Final = np.pi * (3 - 5**0.5)


def random_coils(chance: np.random.Generator, grid: Grid, count: int) -> NDArray[np.complex64]:
    """Sensitivities (coil, line, x) of `count` loops by Biot and Savart, whitened by the noise of the loops.

    Noise is the overlap of the loops' electric fields in the object and the receivers' own; Roemer et al., Magn Reson
    Med 1990; 16:192. White noise of sigma 1 then is what these coils receive beside the signal.
    """
    wires, half_mm = _wires(chance, grid, count)
    v_mm, u_mm = (np.linspace(-fov / 2, fov / 2, LATTICE, dtype=np.float32) for fov in grid.fov_mm)
    here = np.stack(np.broadcast_arrays(v_mm[:, None], u_mm, np.float32(0)), -1).reshape(-1, 3)
    field = _biot_savart(wires, here) @ _across_field(chance)
    gains = np.exp(0.2 * chance.standard_normal(count) + 2j * np.pi * chance.random(count))
    noise = _covariance(wires, half_mm, chance.uniform(0.05, 0.5))
    white = np.linalg.inv(np.linalg.cholesky(noise)) @ (gains[:, None] * field)
    coarse = white.reshape(count, LATTICE, LATTICE)
    coarse /= np.sqrt((np.abs(coarse) ** 2).sum(0).mean())
    maps = np.empty((count, grid.lines, grid.width), np.complex64)
    maps.real = enlarge(coarse.real, maps.shape[1:])
    maps.imag = enlarge(coarse.imag, maps.shape[1:])
    return maps


def _wires(chance: np.random.Generator, grid: Grid, count: int) -> tuple[Points, NDArray[np.float64]]:
    """Loops (coil, segment + 1, 3) on an ellipsoid, spread over a helmet or in rings, and half axes of the object."""
    half_mm = np.array([*(0.4 * fov for fov in grid.fov_mm), chance.uniform(70, 110)])
    size_mm = half_mm + chance.uniform(15, 50)
    if chance.random() < 0.5:
        z = np.linspace(0.95, -chance.uniform(0.3, 0.9), count) + chance.normal(0, 0.03, count)
        around = GOLDEN * np.arange(count)
    else:
        rings = 1 if count < 8 else int(chance.integers(1, 3 if count < 20 else 4))
        z = (np.arange(count) % rings - (rings - 1) / 2) * chance.uniform(0.35, 0.55) + chance.normal(0, 0.03, count)
        around = 2 * np.pi * (np.arange(count) + chance.normal(0, 0.15, count)) / count
    z = z.clip(-0.97, 0.97)
    around = around + chance.uniform(0, 2 * np.pi)
    out = np.stack([np.sqrt(1 - z**2) * np.cos(around), np.sqrt(1 - z**2) * np.sin(around), z], 1)
    axes = chance.permutation(3) if chance.random() < 0.4 else np.arange(3)
    out = out[:, axes]  # the helmet's axis may lie in the slice
    helper = np.where(np.abs(out[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    aside = np.cross(out, helper)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    up = np.cross(out, aside)
    radius_mm = (190.0 / np.sqrt(count) + 12) * np.exp(chance.normal(0, 0.15))
    turn = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:, None]
    wires = (out * size_mm)[:, None] + radius_mm * (np.cos(turn) * aside[:, None] + np.sin(turn) * up[:, None])
    return wires.astype(np.float32), half_mm


def _biot_savart(wires: Points, here: Points) -> NDArray[np.float32]:
    """Field (coil, point, 3) of unit current in closed polygons, up to a constant; finite on the wire."""
    pieces = np.diff(wires, axis=1)
    away = here - (wires[:, :-1] + pieces / 2)[:, :, None]
    cubed = np.maximum((away**2).sum(-1), np.float32(NEAREST_MM**2)) ** np.float32(-1.5)
    return np.stack(
        [
            ((pieces[:, :, None, b] * away[..., c] - pieces[:, :, None, c] * away[..., b]) * cubed).sum(1)
            for b, c in ((1, 2), (2, 0), (0, 1))
        ],
        -1,
    )


def _across_field(chance: np.random.Generator) -> NDArray[np.complex128]:
    """Weights (3,) of the field's components across a main field along a random axis: what a receiver turns with."""
    turned = np.linalg.qr(chance.normal(0, 0.15, (3, 3)) + np.eye(3)[chance.permutation(3)])[0]
    return turned[0] - 1j * turned[1]


def _covariance(wires: Points, half_mm: NDArray[np.float64], receivers: float) -> NDArray[np.float64]:
    """Noise covariance (coil, coil), mean of the diagonal 1, from vector potentials in an ellipsoid."""
    lattice = np.stack(np.meshgrid(*(np.linspace(-0.9, 0.9, 6),) * 3, indexing="ij"), -1).reshape(-1, 3)
    inside = (lattice[np.linalg.norm(lattice, axis=1) < 1] * half_mm).astype(np.float32)
    pieces = np.diff(wires, axis=1)
    away = inside - (wires[:, :-1] + pieces / 2)[:, :, None]
    potential = np.einsum("csp,csi->cpi", ((away**2).sum(-1) + 1) ** -0.5, pieces).reshape(len(wires), -1)
    overlap = (potential @ potential.T).astype(np.float64)
    overlap /= np.trace(overlap) / len(overlap)
    return (overlap + receivers * np.eye(len(overlap))) / (1 + receivers)

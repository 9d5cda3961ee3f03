"""Receive arrays of circular loops around the head: sensitivities by Biot-Savart, noise from the loops' losses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from hw_sim.errors import SimulationError
from hw_sim.planes import Plane, points
from protocols.geometry import patient_from_device

__all__ = ["ELECTRONICS", "Array", "head_array"]

SEGMENTS: Final = 40  # straight pieces of a loop
LATTICE: Final = 36  # sensitivities are computed on 36 x 36 points of a slice and interpolated
KNOTS_MM: Final = 11.0  # of a slab on points so far apart
HEAD_MM: Final = (80.0, 100.0, 95.0)  # semi-axes of the conducting ellipsoid that makes the noise
ELECTRONICS: Final = 0.15  # noise of a receiver's own, relative to that of the patient
GOLDEN: Final = np.pi * (3 - 5**0.5)


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """An array of receive loops."""

    wires_mm: NDArray[np.float64]  # (coil, segment + 1, 3), LPS; the last point closes the loop
    gains: NDArray[np.complex128]  # (coil,) gain and cable phase
    covariance: NDArray[np.complex128]  # (coil, coil) of the noise, mean of the diagonal 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the coils."""
        return tuple(f"L{number + 1:02d}" for number in range(len(self.gains)))

    def around(self, position: str) -> "Array":
        """The same array, which stays as it is on the table, around a patient who lies HFS, HFP, HFDR …, in LPS.

        For one who lies feet first it is turned round, to where the head is.
        """
        return replace(self, wires_mm=patient_from_device(self.wires_mm, f"HF{position[2:]}"))

    def field(self, points_mm: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Complex sensitivity (coil, ...) at points (..., 3): B1- = Bx - iBy of unit current, by Biot-Savart."""
        flat = points_mm.reshape(-1, 3)
        field = np.stack([_biot_savart(wire, flat) for wire in self.wires_mm])
        return (self.gains[:, None] * field).reshape(-1, *points_mm.shape[:-1])

    def on_plane(self, plane: Plane, u_mm: NDArray[np.float64], v_mm: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Complex sensitivity (coil, v, u) on a grid of a slice."""
        coarse_u, coarse_v = (np.linspace(axis[0], axis[-1], LATTICE) for axis in (u_mm, v_mm))
        coarse = self.field(points(plane, coarse_u, coarse_v))
        along_u, along_v = _spline(coarse_u, u_mm), _spline(coarse_v, v_mm)
        return (along_v @ coarse @ along_u.T).astype(np.complex64)

    def on_layers(
        self, plane: Plane, u_mm: NDArray[np.float64], v_mm: NDArray[np.float64], through_mm: NDArray[np.float64]
    ) -> Iterator[NDArray[np.complex64]]:
        """Complex sensitivity (coil, v, u) on each of many planes `through_mm` off a plane, one after another."""
        knots = [
            np.linspace(axis[0], axis[-1], max(8, ceil(float(np.ptp(axis)) / KNOTS_MM)))
            for axis in (through_mm, v_mm, u_mm)
        ]
        layers = np.stack([points(plane, knots[2], knots[1], mm) for mm in knots[0]])
        coarse = self.field(layers).astype(np.complex64)  # (coil, through, v, u)
        through, along_v, along_u = (
            _spline(known, axis).astype(np.float32) for known, axis in zip(knots, (through_mm, v_mm, u_mm), strict=True)
        )
        for weights in through:
            yield along_v @ np.einsum("w,cwvu->cvu", weights, coarse) @ along_u.T


def _spline(knots: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (at, knot) of a cubic spline through values at knots."""
    weights: NDArray[np.float64] = make_interp_spline(knots, np.eye(len(knots)))(at)
    return weights


def _biot_savart(wire_mm: NDArray[np.float64], points_mm: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Bx - iBy at points (n, 3) of unit current in a closed polygon, up to a constant; finite on the wire."""
    pieces = np.diff(wire_mm, axis=0)
    away = points_mm[:, None, :] - (wire_mm[:-1] + pieces / 2)
    cubed = np.maximum(np.einsum("npi,npi->np", away, away), 20.0**2) ** -1.5
    x = ((pieces[:, 1] * away[..., 2] - pieces[:, 2] * away[..., 1]) * cubed).sum(axis=1)
    y = ((pieces[:, 2] * away[..., 0] - pieces[:, 0] * away[..., 2]) * cubed).sum(axis=1)
    return x - 1j * y


def _vector_potential(wire_mm: NDArray[np.float64], points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return A (n, 3) of unit current, up to a constant; E = -dA/dt is what makes noise in the patient."""
    pieces = np.diff(wire_mm, axis=0)
    away = points_mm[:, None, :] - (wire_mm[:-1] + pieces / 2)
    return np.einsum("np,pi->ni", np.einsum("npi,npi->np", away, away) ** -0.5, pieces)


def _loop(direction: NDArray[np.float64], semi_axes_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.float64]:
    """Wire of one loop on an ellipsoid, facing its middle."""
    aside = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [1.0, 0.0, 0.0])
    aside /= np.linalg.norm(aside)
    up = np.cross(direction, aside)
    angles = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:, None]
    return direction * semi_axes_mm + radius_mm * (np.cos(angles) * aside + np.sin(angles) * up)


def _covariance(wires_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise covariance: overlap of the loops' electric fields in a conducting head, and the receivers' own noise.

    Roemer et al., Magn Reson Med 1990; 16:192.
    """
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, 13),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    head_mm = grid[np.linalg.norm(grid, axis=1) < 1] * np.array(HEAD_MM)
    electric = np.stack([_vector_potential(wire, head_mm).ravel() for wire in wires_mm])
    overlap = electric @ electric.T
    overlap /= np.trace(overlap) / len(overlap)
    return (overlap + ELECTRONICS * np.eye(len(overlap))) / (1 + ELECTRONICS)


def head_array(coils: int = 16, seed: int = 7) -> Array:
    """Make a helmet of 4 to 64 overlapping loops, open at the feet; gains and cable phases differ."""
    if not 4 <= coils <= 64:
        raise SimulationError(f"coils: got {coils}, wanted 4 to 64 loops")
    helmet_mm = np.array([125.0, 145.0, 135.0])
    z = 0.95 - (np.arange(coils) + 0.5) / coils * 1.45  # spiral from the crown to below the chin
    around = GOLDEN * np.arange(coils)
    directions = np.stack([np.sqrt(1 - z**2) * np.cos(around), np.sqrt(1 - z**2) * np.sin(around), z], axis=1)
    wires = np.stack([_loop(direction, helmet_mm, 175.0 / np.sqrt(coils) + 12.0) for direction in directions])
    chance = np.random.default_rng(seed)
    gains = (1 + 0.15 * chance.standard_normal(coils)) * np.exp(2j * np.pi * chance.random(coils))
    array = Array(wires, np.ones(coils, np.complex128), _covariance(wires).astype(np.complex128))
    middle = np.linalg.norm(array.field(np.zeros((1, 3))))
    relative = gains / np.sqrt(np.mean(np.abs(gains) ** 2))
    covariance = relative[:, None] * array.covariance * relative.conj()
    covariance *= coils / np.trace(covariance).real
    return Array(wires, relative / middle, covariance)

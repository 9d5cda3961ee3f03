"""An asymmetric phantom of ellipsoids, known in closed form in image space and in k-space."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

from hw_sim.planes import Plane
from hw_sim.tissue import AIR, TISSUES, Contrast, Tissue

__all__ = ["ASYMMETRIC", "Ellipsoid", "Phantom"]

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """One ellipsoid of one tissue, wholly inside the tissue that it displaces."""

    centre_mm: Vector
    semi_axes_mm: Vector
    tissue: Tissue
    displaces: Tissue
    turn_deg: float = 0.0  # about the head-foot axis

    def form(self) -> NDArray[np.float64]:
        """Return A (3, 3) with (r - centre)' A (r - centre) <= 1 inside."""
        angle = np.deg2rad(self.turn_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        return turn @ np.diag(np.array(self.semi_axes_mm) ** -2.0) @ turn.T


@dataclass(frozen=True, slots=True)
class Phantom:
    """A patient made of ellipsoids."""

    ellipsoids: tuple[Ellipsoid, ...]
    radius_mm: float

    def image(self, points_mm: NDArray[np.float64], weight: Contrast) -> NDArray[np.float32]:
        """Signal at points (..., 3), LPS mm."""
        total = np.zeros(points_mm.shape[:-1], np.float32)
        for ellipsoid in self.ellipsoids:
            away = points_mm - np.array(ellipsoid.centre_mm)
            inside = np.einsum("...i,ij,...j->...", away, ellipsoid.form(), away, optimize=True) <= 1
            total += np.float32(weight(ellipsoid.tissue) - weight(ellipsoid.displaces)) * inside
        return total

    def kspace(
        self, plane: Plane, k_read: NDArray[np.float64], k_phase: NDArray[np.float64], weight: Contrast
    ) -> NDArray[np.complex128]:
        """Fourier integral over an infinitely thin slice at k (cycles per mm), in signal times mm squared.

        Shapes of `k_read` and `k_phase` are broadcast. A section of an ellipsoid is an ellipse, whose transform is a
        jinc (Van de Walle et al., IEEE Trans Med Imaging 1997; 16:463).
        """
        k = np.stack(np.broadcast_arrays(k_read, k_phase), axis=-1)
        total = np.zeros(k.shape[:-1], np.complex128)
        for ellipsoid in self.ellipsoids:
            total += (weight(ellipsoid.tissue) - weight(ellipsoid.displaces)) * _section(ellipsoid, plane, k)
        return total


def _section(ellipsoid: Ellipsoid, plane: Plane, k: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Transform of the section of one ellipsoid with a plane, at k (..., 2)."""
    basis = np.array([plane.read_dir, plane.phase_dir]).T  # (3, 2): a point is offset + basis @ (u, v)
    offset = np.array(plane.centre_mm) - np.array(ellipsoid.centre_mm)
    form = ellipsoid.form()
    inner = basis.T @ form @ basis
    middle = -np.linalg.solve(inner, basis.T @ form @ offset)
    size = 1 - offset @ form @ offset + middle @ inner @ middle  # of the section: w' inner w <= size
    if size <= 0:
        return np.zeros(k.shape[:-1], np.complex128)
    radius = np.sqrt(size * np.einsum("...i,ij,...j->...", k, np.linalg.inv(inner), k))
    area = np.pi * size / np.sqrt(np.linalg.det(inner))
    argument = 2 * np.pi * np.maximum(radius, 1e-9)
    return area * 2 * j1(argument) / argument * np.exp(-2j * np.pi * (k @ middle))


def _asymmetric() -> Phantom:
    """Head-sized: a ball on the right and a bar on the left, a tube in front, a cone of balls towards the head."""
    gel, water, fat, bone, white = (TISSUES[name] for name in ("gel", "water", "fat", "bone", "white"))
    body = Ellipsoid((0, 0, 0), (75, 95, 85), gel, fat)
    return Phantom(
        (
            Ellipsoid((0, 0, 0), (82, 102, 92), fat, AIR),
            body,
            Ellipsoid((-38, -20, 0), (16, 16, 60), water, gel),  # right: one large round rod
            Ellipsoid((38, 10, 0), (6, 34, 50), bone, gel, turn_deg=15),  # left: a slanted plate
            Ellipsoid((0, -62, 0), (10, 10, 40), white, gel),  # anterior: a small rod
            Ellipsoid((0, 40, 38), (18, 18, 18), water, gel),  # posterior and towards the head: a ball
            Ellipsoid((0, 40, -42), (9, 9, 9), water, gel),  # posterior and towards the feet: a smaller ball
        ),
        radius_mm=105.0,
    )


ASYMMETRIC: Final = _asymmetric()

"""Beads at known places: Gaussian blobs with a closed form in k-space, and the fit that finds them again."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.errors import SimulationError
from hw_sim.planes import Plane

__all__ = ["ACCEPTANCE", "Beads", "locate"]

FLOOR: Final = 0.15  # of a bead's peak: darker pixels tell nothing of its place


@dataclass(frozen=True, slots=True, eq=False)
class Beads:
    """Spherical Gaussians in air; unequal in brightness, so that each is known again."""

    centres_mm: NDArray[np.float64]  # (bead, 3) LPS
    brightness: tuple[float, ...]  # falling
    sigma_mm: float

    def moved(self, by_mm: tuple[float, float, float]) -> "Beads":
        """The same beads elsewhere."""
        return replace(self, centres_mm=self.centres_mm + np.array(by_mm))

    def kspace(self, plane: Plane, k_read: NDArray[np.float64], k_phase: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Fourier integral over an infinitely thin slice at k (cycles per mm), in signal times mm squared.

        Shapes of `k_read` and `k_phase` are broadcast.
        """
        variance = self.sigma_mm**2
        decay = 2 * np.pi * variance * np.exp(-2 * np.pi**2 * variance * (k_read**2 + k_phase**2))
        total = np.zeros(decay.shape, np.complex128)
        axes = np.array((plane.read_dir, plane.phase_dir, plane.slice_dir))
        for (u, v, through), bright in zip(
            (self.centres_mm - np.array(plane.centre_mm)) @ axes.T, self.brightness, strict=True
        ):
            level = bright * np.exp(-(through**2) / (2 * variance))
            total += level * decay * np.exp(-2j * np.pi * (k_read * u + k_phase * v))
        return total


# No plane, axis or point maps these three onto each other; all lie within 24 mm of the middle along every axis.
ACCEPTANCE: Final = Beads(
    np.array(((20.0, -18.0, 14.0), (-22.0, 10.0, -16.0), (4.0, 22.0, 20.0))), (1.0, 0.7, 0.45), 6.0
)


def locate(values: NDArray[np.float64], points_mm: NDArray[np.float64], beads: Beads) -> NDArray[np.float64]:
    """Places (bead, 3) where voxels (n,) that lie at points (n, 3) show the beads, brightest first.

    A Gaussian's logarithm is a parabola of known width, so its centre follows from linear least squares.
    Raises SimulationError where there are fewer beads to be seen.
    """
    left = np.where(np.isfinite(values), values, 0.0)
    variance = beads.sigma_mm**2
    found = []
    for number in range(len(beads.brightness)):
        peak = int(left.argmax())
        near = np.linalg.norm(points_mm - points_mm[peak], axis=1) < 2.5 * beads.sigma_mm
        seen = near & (left > FLOOR * left[peak])
        away = points_mm[seen] - points_mm[peak]
        if left[peak] <= 0 or np.linalg.matrix_rank(away, tol=1e-3) < 3:
            raise SimulationError(f"bead {number + 1} of {len(beads.brightness)} is not to be seen in the images")
        flat = np.log(left[seen]) + (away**2).sum(axis=1) / (2 * variance)
        design = np.column_stack((away / variance, np.ones(len(away))))
        weights = left[seen]
        solution = np.linalg.lstsq(design * weights[:, None], flat * weights, rcond=None)[0]
        found.append(points_mm[peak] + solution[:3])
        left = np.where(near, 0.0, left)
    return np.array(found)

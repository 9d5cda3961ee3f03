"""Where the slices of a scan lie: planes in LPS mm from the isocentre."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.simulate import Directions, Oblique, Simulate

__all__ = ["STANDARD", "Plane", "planes", "points"]

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Plane:
    """Middle and directions of one slice; rows of the picture run along `phase_dir`, columns along `read_dir`."""

    centre_mm: Vector
    read_dir: Vector
    phase_dir: Vector
    slice_dir: Vector


# As a radiologist hangs them: axial and coronal seen with patient left at image right, sagittal with the face left.
STANDARD: Final = {
    "axial": Plane((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "sagittal": Plane((0, 0, 0), (0, 1, 0), (0, 0, -1), (-1, 0, 0)),
    "coronal": Plane((0, 0, 0), (1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _oblique(wanted: Oblique) -> Plane:
    """Turn the nearest standard plane by the smallest rotation onto the normal, then about the normal."""
    normal = np.array(wanted.normal) / np.linalg.norm(wanted.normal)
    near = max(STANDARD.values(), key=lambda plane: abs(normal @ np.array(plane.slice_dir)))
    if normal @ np.array(near.slice_dir) < 0:
        normal = -normal
    phase = np.array(near.phase_dir) - normal * (normal @ np.array(near.phase_dir))
    phase /= np.linalg.norm(phase)
    read = np.cross(phase, normal)
    angle = np.deg2rad(wanted.rotation_deg)
    turned_read = np.cos(angle) * read + np.sin(angle) * phase
    turned_phase = np.cos(angle) * phase - np.sin(angle) * read
    return Plane((0, 0, 0), _vector(turned_read), _vector(turned_phase), _vector(normal))


def _stack(simulate: Simulate, middle: Plane) -> tuple[Plane, ...]:
    """Spread the slices of one stack along its normal."""
    step_mm = simulate.thickness_mm + simulate.gap_mm
    offsets_mm = (np.arange(simulate.slices) - (simulate.slices - 1) / 2) * step_mm
    centre = np.array(simulate.centre_mm)
    return tuple(replace(middle, centre_mm=_vector(centre + mm * np.array(middle.slice_dir))) for mm in offsets_mm)


def planes(simulate: Simulate) -> tuple[Plane, ...]:
    """All slices of a scan in the order of their slice counter."""
    if simulate.three_plane:
        return tuple(plane for middle in STANDARD.values() for plane in _stack(simulate, middle))
    return _stack(simulate, _middle(simulate.orientation))


def _middle(wanted: str | Oblique | Directions) -> Plane:
    """The plane through the isocentre, by name, by its normal, or by all its directions."""
    if isinstance(wanted, Directions):
        return Plane((0, 0, 0), wanted.read, wanted.phase, wanted.slice)
    return _oblique(wanted) if isinstance(wanted, Oblique) else STANDARD[wanted]


def points(
    plane: Plane, u_mm: NDArray[np.float64], v_mm: NDArray[np.float64], through_mm: float = 0.0
) -> NDArray[np.float64]:
    """Points (v, u, 3), LPS mm, of a grid with `u_mm` along read and `v_mm` along phase, `through_mm` off the plane."""
    origin = np.array(plane.centre_mm) + through_mm * np.array(plane.slice_dir)
    return origin + v_mm[:, None, None] * np.array(plane.phase_dir) + u_mm[None, :, None] * np.array(plane.read_dir)

"""Where pixels lie: planes and volumes in LPS mm from the isocentre, and the ways to say so.

LPS: x to the patient's left, y to posterior, z to superior. The position of an MRD image is where pixel n // 2 of every
axis lies, as a centred FFT of even length puts it there; hence DICOM's first pixel is at position - fov / 2.
"""

from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.errors import LocalError, PeerError

__all__ = [
    "DEVICE_FROM_PATIENT",
    "ORIENTATIONS",
    "Grid",
    "Handedness",
    "device_from_patient",
    "dicom_orientation",
    "dicom_position_mm",
    "dicom_spacing_mm",
    "flip",
    "grid_of",
    "handedness",
    "lps_from_pixel",
    "patient_from_device",
    "pixel_from_lps",
    "place",
    "quaternion_of",
    "rotated",
    "rotation_of",
]

Array: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = tuple[float, float, float]
_TOLERANCE = 1e-3  # of directions in single precision, some of them rounded by hand


class Handedness(Enum):
    """What three directions span; MRD wants right-handed ones, some generators write others."""

    RIGHT = "right-handed"
    LEFT = "left-handed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Grid:
    """Pixels in space, 2-D or 3-D; axes in the order x, y, z, along read, phase and slice direction."""

    matrix: tuple[int, int, int]
    fov_mm: Vector
    position_mm: Vector  # of pixel n // 2 of each axis
    read_dir: Vector
    phase_dir: Vector
    slice_dir: Vector

    def axes(self) -> Array:
        """(3, 3) with the directions as columns."""
        return np.array((self.read_dir, self.phase_dir, self.slice_dir)).T

    def spacing_mm(self) -> Array:
        """(3,) distance of pixel centres."""
        return np.array(self.fov_mm) / np.array(self.matrix)


# As upright pictures show them (DICOM PS3.3 C.7.6.2): columns run to posterior or feet, rows to left or posterior.
ORIENTATIONS: Final = MappingProxyType(
    {
        "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)),
        "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    }
)

# Device axes for someone at the foot of the table who looks into the bore: x to the right, y down, z into the bore.
# Rows: where the patient's left, posterior and superior point.
_DEVICE = {
    "HFS": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "HFP": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "HFDR": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "HFDL": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    "FFS": ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "FFP": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "FFDR": ((0, -1, 0), (-1, 0, 0), (0, 0, -1)),
    "FFDL": ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
}
DEVICE_FROM_PATIENT: Final = MappingProxyType({name: np.array(rows, float).T for name, rows in _DEVICE.items()})


def _turn(position: str) -> Array:
    if position not in DEVICE_FROM_PATIENT:
        raise LocalError(f"patient position '{position}'; known are {', '.join(DEVICE_FROM_PATIENT)}")
    return DEVICE_FROM_PATIENT[position]


def device_from_patient(points_mm: Array, patient_position: str) -> Array:
    """Turn points or directions (..., 3) in LPS mm into device mm: x right, y down, z into the bore."""
    return np.asarray(points_mm) @ _turn(patient_position).T


def patient_from_device(points_mm: Array, patient_position: str) -> Array:
    """Turn points or directions (..., 3) in device mm into LPS mm."""
    return np.asarray(points_mm) @ _turn(patient_position)


def lps_from_pixel(grid: Grid, index: Array) -> Array:
    """LPS mm (..., 3) of pixel indices (..., 3) in the order x, y, z; whole numbers are pixel centres."""
    centre = np.array(grid.matrix) // 2
    return np.array(grid.position_mm) + ((np.asarray(index) - centre) * grid.spacing_mm()) @ grid.axes().T


def pixel_from_lps(grid: Grid, points_mm: Array) -> Array:
    """Pixel indices (..., 3), not rounded, of points (..., 3) in LPS mm."""
    centre = np.array(grid.matrix) // 2
    offset_mm = np.asarray(points_mm) - np.array(grid.position_mm)
    return np.linalg.solve(grid.axes(), offset_mm[..., None])[..., 0] / grid.spacing_mm() + centre


def flip(pixels: NDArray[Any], grid: Grid, axis: int) -> tuple[NDArray[Any], Grid]:
    """Turn one axis (0 x, 1 y, 2 z) of pixels (..., z, y, x) round and leave every pixel where it was in the patient.

    The direction is negated, and the position moves by one pixel where the axis has an even number of them.
    """
    size = grid.matrix[axis]
    direction = grid.axes()[:, axis]
    shift_mm = (size - 1 - 2 * (size // 2)) * grid.spacing_mm()[axis] * direction
    signs = np.ones(3)
    signs[axis] = -1
    read, phase, slice_ = (grid.axes() * signs).T
    turned = Grid(
        grid.matrix, grid.fov_mm, _vector(grid.position_mm + shift_mm), _vector(read), _vector(phase), _vector(slice_)
    )
    return np.flip(pixels, pixels.ndim - 1 - axis), turned


def rotated(grid: Grid, rotation: Array) -> Grid:
    """The same pixels after a rotation (3, 3) about their position: an oblique plane from a straight one."""
    read, phase, slice_ = (rotation @ grid.axes()).T
    return replace(grid, read_dir=_vector(read), phase_dir=_vector(phase), slice_dir=_vector(slice_))


def rotation_of(quaternion: tuple[float, float, float, float]) -> Array:
    """(3, 3) rotation of a quaternion (x, y, z, w) of any length but zero."""
    vector, w = np.array(quaternion[:3], float), float(quaternion[3])
    length = vector @ vector + w * w
    if not np.isfinite(length) or length < 1e-24:
        raise LocalError(f"quaternion {quaternion}: no rotation; (0, 0, 0, 1) is none at all")
    x, y, z = vector
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return np.eye(3) + 2 / length * (w * cross + cross @ cross)


def quaternion_of(rotation: Array) -> tuple[float, float, float, float]:
    """Quaternion (x, y, z, w), w >= 0, of a rotation (3, 3), for example of read, phase and slice direction as columns.

    Bar-Itzhack, J Guid Control Dyn 2000; 23:1085: an eigenvector, which also bears what is not quite a rotation.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(rotation, float)
    symmetric = np.array(
        (
            (xx - yy - zz, yx + xy, zx + xz, zy - yz),
            (yx + xy, yy - xx - zz, zy + yz, xz - zx),
            (zx + xz, zy + yz, zz - xx - yy, yx - xy),
            (zy - yz, xz - zx, yx - xy, xx + yy + zz),
        )
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if w < 0 else 1.0
    return (float(sign * x), float(sign * y), float(sign * z), float(sign * w))


def handedness(read_dir: Array, phase_dir: Array, slice_dir: Array) -> Handedness:
    """Judge three directions; raises PeerError where they are neither all missing nor perpendicular unit vectors."""
    axes = np.array((read_dir, phase_dir, slice_dir), float)
    if not axes.any():
        return Handedness.MISSING
    if not np.allclose(axes @ axes.T, np.eye(3), atol=_TOLERANCE):  # NaN is not close either
        shown = ", ".join(str(tuple(round(float(v), 4) for v in axis)) for axis in axes)
        raise PeerError(f"read, phase and slice direction {shown}; perpendicular unit vectors were wanted")
    return Handedness.RIGHT if np.linalg.det(axes) > 0 else Handedness.LEFT


def grid_of(header: np.void) -> Grid:
    """Where the pixels of an image with this MRD header lie; raises PeerError for an impossible geometry."""
    if handedness(header["read_dir"], header["phase_dir"], header["slice_dir"]) is Handedness.MISSING:
        raise PeerError("image header: all directions are zero; where its pixels lie is not known")
    x, y, z = (int(n) for n in header["matrix_size"])
    fov_mm = _vector(header["field_of_view"])
    if not (x and y and z) or not all(0 < extent < np.inf for extent in fov_mm):
        raise PeerError(f"image header: matrix {x} x {y} x {z}, field of view {fov_mm} mm; numbers > 0 were wanted")
    directions = (_vector(header[name]) for name in ("read_dir", "phase_dir", "slice_dir"))
    return Grid((x, y, z), fov_mm, _vector(header["position"]), *directions)


def place(header: np.void, grid: Grid) -> np.void:
    """A copy of an MRD image header whose pixels lie on the grid."""
    placed = header.copy()
    placed["matrix_size"] = grid.matrix
    placed["field_of_view"] = grid.fov_mm
    placed["position"] = grid.position_mm
    for name in ("read_dir", "phase_dir", "slice_dir"):
        placed[name] = getattr(grid, name)
    return placed


def dicom_orientation(grid: Grid) -> tuple[float, float, float, float, float, float]:
    """ImageOrientation (Patient), 0020,0037: the directions in which columns and rows are counted."""
    return (*grid.read_dir, *grid.phase_dir)


def dicom_position_mm(grid: Grid, slice_: int = 0) -> Vector:
    """ImagePosition (Patient), 0020,0032: the centre of the first pixel of a slice, LPS mm."""
    return _vector(lps_from_pixel(grid, np.array((0, 0, slice_))))


def dicom_spacing_mm(grid: Grid) -> tuple[float, float]:
    """PixelSpacing, 0028,0030: between rows, then between columns."""
    x, y, _ = grid.spacing_mm()
    return (float(y), float(x))


def _vector(values: Any) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)

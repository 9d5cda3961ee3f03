"""What lies in the scanner: a head in a pose, bent and in a contrast of its own, or something that is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from trt_build.data.contrast import STEPS, tissue_curves
from trt_build.landmarks.heads import NAMES, Subject

__all__ = ["OBJECTS", "Drawn", "Grid", "HeadPose", "draw_head"]

CONTROL: Final = 6  # points each way of a bend
MIDDLE_MM: Final = np.array((0.0, 18.0, 5.0))  # of a head in the template, LPS; in the isocentre at rest
EYE_MM: Final = 11.5
EYES: Final = (NAMES.index("eye_left"), NAMES.index("eye_right"))
OVERSAMPLED: Final = 1.4  # of the grid that an object is drawn on
Volume = NDArray[np.float32]
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Voxels of a scout along S, P and L, and finer ones that an object is drawn on; index n / 2 is the middle."""

    shape: tuple[int, int, int]  # (z, y, x), even
    voxel_mm: Vector  # (3,) x, y, z
    middle_mm: Vector  # (3,) x, y, z

    @property
    def fine(self) -> tuple[int, int, int]:
        """Shape (z, y, x) of the finer grid over the same stretch."""
        z, y, x = (2 * scipy.fft.next_fast_len(round(OVERSAMPLED * size / 2), real=True) for size in self.shape)
        return z, y, x

    def axes_mm(self) -> tuple[Vector, Vector, Vector]:
        """Places of the finer grid along x, y and z."""
        fov_mm = self.voxel_mm * self.shape[::-1]
        x, y, z = (
            middle + fov * (np.arange(size) / size - 0.5)
            for middle, fov, size in zip(self.middle_mm, fov_mm, self.fine[::-1], strict=True)
        )
        return x, y, z

    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from (x, y, z) voxel to LPS mm."""
        made = np.diag((*self.voxel_mm, 1.0))
        made[:3, 3] = self.middle_mm - self.voxel_mm * (np.array(self.shape[::-1]) // 2)
        return made


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """Where a head lies and how it differs from its file: file = linear @ (place + bend) + offset."""

    turn: NDArray[np.float64]  # (3, 3)
    shift_mm: Vector
    shape: NDArray[np.float64]  # (3, 3) from this head to that of the file
    bend_mm: NDArray[np.float64]  # (3, CONTROL, CONTROL, CONTROL) over the field of view

    def to_template(self) -> tuple[NDArray[np.float64], Vector]:
        """Linear part and offset from the scanner to the template, the bend left out."""
        linear = self.shape @ self.turn.T
        return linear, self.shape @ MIDDLE_MM - linear @ self.shift_mm


@dataclass(slots=True, eq=False)
class Drawn:
    """An object on the finer grid (z, y, x), and where its landmarks are."""

    image: Volume
    brain: Volume  # 1 inside
    places_mm: NDArray[np.float64]  # (landmark, 3)
    present: NDArray[np.bool_]  # (landmark,)


def draw_head(
    subject: Subject,
    grid: Grid,
    lies: HeadPose,
    chance: np.random.Generator,
    *,
    own_face: bool,
    natural: bool = False,
) -> Drawn:
    """A head as it lies, in a random contrast, with its own face or with rings of bone, muscle and fat.

    `natural`: in the contrast of its T1 volume.
    """
    linear, offset = lies.to_template()
    linear = subject.pose.scale * subject.pose.turn @ linear
    offset = subject.pose.to_scanner(offset)
    bend = _enlarged(lies.bend_mm, grid.fine)
    places = _inverted(subject.places_mm, linear, offset, bend, grid)
    to_voxel = np.linalg.inv(subject.affine)
    matrix = to_voxel[:3, :3] @ linear
    start = to_voxel[:3, :3] @ offset + to_voxel[:3, 3]
    x, y, z = (axis.astype(np.float32) for axis in grid.axes_mm())
    voxels = np.tensordot(matrix.astype(np.float32), bend, 1)
    for row, out, first in zip(matrix.astype(np.float32), voxels, start.tolist(), strict=True):
        out += row[0] * x + (row[1] * y)[:, None] + (row[2] * z + np.float32(first))[:, None, None]
    t1, brain = (ndimage.map_coordinates(v, voxels, order=1, output=np.float32) for v in (subject.t1, subject.brain))
    soft = np.clip((brain - 0.5) * 2 + 0.5, 0, 1)
    inner, outer = (_AS_IT_IS, _AS_IT_IS) if natural else tissue_curves(chance, subject.levels)
    step = (t1 * (STEPS - 1)).astype(np.uint16)
    fluid = float(inner[int(subject.levels[0] * (STEPS - 1))])
    present = np.asarray(np.isfinite(places).all(1))
    if own_face:
        around = outer[step] * np.clip(step * np.float32(10 / STEPS) - np.float32(0.5), 0, 1)
        for eye in EYES:
            _fill(around, grid, places[eye], fluid)
    else:
        away = ndimage.map_coordinates(subject.away_mm, voxels, order=1, cval=99.0, output=np.float32)
        around = _rings(away, fluid, chance)
        present[list(EYES)] = False
    return Drawn(around + soft * (inner[step] - around), brain, places, present)


_AS_IT_IS: Final = np.linspace(0, 1, STEPS, dtype=np.float32)


def _inverted(
    places_mm: NDArray[np.float64], linear: NDArray[np.float64], offset: Vector, bend: Volume, grid: Grid
) -> NDArray[np.float64]:
    """Where places of the file (n, 3) lie in the scanner."""
    straight = (places_mm - offset) @ np.linalg.inv(linear).T
    fine_mm = grid.voxel_mm * grid.shape[::-1] / np.array(grid.fine[::-1])
    found = straight.copy()
    for _ in range(4):
        at = ((np.nan_to_num(found) - grid.middle_mm) / fine_mm + np.array(grid.fine[::-1]) / 2).T[::-1]
        moved = [ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in bend]
        found = straight - np.stack(moved, -1)
    return found


def _fill(image: Volume, grid: Grid, place: Vector, value: float) -> None:
    """Put an eyeball into an image, in place."""
    if np.isfinite(place).all():
        x, y, z = ((axis - at) ** 2 for axis, at in zip(grid.axes_mm(), place, strict=True))
        spans = [np.flatnonzero(axis < EYE_MM**2) for axis in (z, y, x)]
        if all(len(span) for span in spans):
            box = tuple(slice(span[0], span[-1] + 1) for span in spans)
            away = np.sqrt(z[box[0]][:, None, None] + y[box[1]][:, None] + x[box[2]])
            share = np.clip((EYE_MM - away) / 2, 0, 1).astype(np.float32)
            image[box] += share * (np.float32(value) - image[box])


def _rings(away_mm: Volume, fluid: float, chance: np.random.Generator) -> Volume:
    """Fluid, bone, muscle and fat at random distances from the brain."""
    ends = np.cumsum((0.0, *chance.uniform((1.5, 3, 1, 2), (4, 8, 4, 7))))
    values = np.array((fluid, chance.uniform(0, 0.1), chance.uniform(0.2, 0.8), chance.uniform(0.2, 1)), np.float32)
    step = (np.searchsorted(ends[1:], away_mm.ravel())).reshape(away_mm.shape)
    return np.append(values, np.float32(0))[step]


def _enlarged(coarse: NDArray[np.float64], shape: tuple[int, int, int]) -> Volume:
    """Fields (…, CONTROL, CONTROL, CONTROL) on a grid (z, y, x), by cubic splines."""
    z, y, x = (_splines(size) for size in shape)
    made = coarse.astype(np.float32) @ x.T
    made = y @ made
    return np.einsum("zk,...kyx->...zyx", z, made, optimize=True)


@lru_cache(maxsize=64)
def _splines(size: int) -> NDArray[np.float32]:
    made = make_interp_spline(np.linspace(0, 1, CONTROL), np.eye(CONTROL))(np.linspace(0, 1, size)).astype(np.float32)
    made.flags.writeable = False
    return made


def _nothing(grid: Grid, _chance: np.random.Generator) -> Volume:
    return np.zeros(grid.fine, np.float32)


def _bottle(grid: Grid, chance: np.random.Generator) -> Volume:
    """A ball, cylinder or box of fluid, with inserts or without."""
    x, y, z = (axis - at for axis, at in zip(_tilted(grid, chance), chance.uniform(-30, 30, 3), strict=True))
    half = chance.uniform(45, 100, 3)
    power = chance.choice([2, 2, 8])
    cap = chance.choice([2, 8])
    inside = (np.abs(x / half[0]) ** power + np.abs(y / half[1]) ** power) + np.abs(z / half[2]) ** cap < 1
    image = inside.astype(np.float32)
    for _ in range(chance.integers(0, 7)):
        at, size = chance.uniform(-60, 60, 3), chance.uniform(4, 22)
        ball = (x - at[0]) ** 2 + (y - at[1]) ** 2 + ((z - at[2]) * chance.choice([0, 1])) ** 2 < size**2
        image[ball & inside] = chance.uniform(0, 1)
    return image


def _other(grid: Grid, chance: np.random.Generator) -> Volume:
    """Limbs or a trunk: muscle with fat around it, bones and vessels within."""
    x, y, z = _tilted(grid, chance)
    image = np.zeros(grid.fine, np.float32)
    count = chance.choice([1, 1, 2])
    muscle, fat, marrow = chance.uniform(0.2, 0.9), chance.uniform(0.3, 1), chance.uniform(0.2, 1)
    for number in range(count):
        centre = (number - (count - 1) / 2) * chance.uniform(110, 150)
        radius = chance.uniform(40, 70) if count == 2 else chance.uniform(50, 130)
        taper = 1 + chance.uniform(-0.3, 0.3) * z / 130
        off = np.hypot((x - centre) / chance.uniform(0.8, 1.3), y) / (radius * taper)
        image = np.where(off < 1, fat, image)
        image = np.where(off < chance.uniform(0.75, 0.95), muscle, image)
        for _ in range(chance.integers(1, 6)):
            at = centre + chance.uniform(-0.5, 0.5) * radius, chance.uniform(-0.5, 0.5) * radius
            size = chance.uniform(5, 22)
            length = chance.choice([30.0, 200.0])
            gone = np.hypot(x - at[0], y - at[1]) + np.clip(np.abs(z - chance.uniform(-60, 60)) - length, 0, None)
            image = np.where((gone < size) & (off < 1), np.where(gone < 0.7 * size, marrow, 0.05), image)
    return image.astype(np.float32)


def _tilted(grid: Grid, chance: np.random.Generator) -> NDArray[np.float32]:
    """Coordinates (3, z, y, x) about the isocentre, turned."""
    turn = np.linalg.qr(np.eye(3)[chance.permutation(3)] + chance.normal(0, 0.25, (3, 3)))[0].astype(np.float32)
    x, y, z = (axis.astype(np.float32) for axis in grid.axes_mm())
    return np.stack([row[0] * x + (row[1] * y)[:, None] + (row[2] * z)[:, None, None] for row in turn])


OBJECTS: Final[Mapping[str, Callable[[Grid, np.random.Generator], Volume]]] = {
    "noise": _nothing,
    "bottle": _bottle,
    "other": _other,
}

"""A slice through a head that can move: what stays in the scanner stays, everything else moves rigidly."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trt_build.data.contrast import STEPS, tissue_curves
from trt_build.data.fields import enlarge, low_pass, smooth_noise
from trt_build.data.phase import random_phase
from trt_build.data.scene import Grid
from trt_build.data.volumes import SCALE, Head

__all__ = ["AT_REST", "HeadSlice", "Pose", "draw_slice"]

SPACING_MM: Final = 1.6  # of the points a volume of 2 mm voxels is asked at
GRAIN: Final = 40  # points each way of the grain that lies in the head, and repeats
PLANES: Final = (((0, -1, 0), (-1, 0, 0)), ((0, 0, -1), (-1, 0, 0)), ((0, 0, -1), (0, -1, 0)))  # rows, columns in RAS


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head lies: turned about the middle of the brain, then shifted."""

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)  # a rotation vector

    @property
    def size(self) -> tuple[float, float]:
        """Length of the shift in mm and of the turn in degrees."""
        return float(np.linalg.norm(self.shift_mm)), float(np.linalg.norm(self.turn_deg))


AT_REST: Final = Pose()


@dataclass(frozen=True, slots=True, eq=False)
class HeadSlice:
    """One slice of one head in one contrast; bias field and phase belong to the scanner."""

    head: Head
    grid: Grid
    points_mm: NDArray[np.float64]  # (3, v, u) of the slice, RAS about the middle of the brain
    shape: NDArray[np.float64]  # (3, 3) by which this head is larger than its volume
    curves: tuple[NDArray[np.float32], NDArray[np.float32]]  # of the brain and of what is round it
    grain: NDArray[np.float32]  # (GRAIN, GRAIN, GRAIN) factor on the signal
    grain_mm: float
    bias: NDArray[np.float32]  # (y, x) on the fine grid
    phase: NDArray[np.float32]  # (2, y, x) on the fine grid
    _seen: dict[Pose, NDArray[np.complex64]] = field(default_factory=dict)

    def image(self, pose: Pose = AT_REST) -> NDArray[np.complex64]:
        """What the slice holds when the head lies so (line, x), Gibbs ringing included."""
        if pose not in self._seen:
            self._seen[pose] = self._look(pose)
        return self._seen[pose]

    def _look(self, pose: Pose) -> NDArray[np.complex64]:
        head, grid = self.head, self.grid
        shift_mm = np.array(pose.shift_mm)[:, None]
        flat = _rotation(np.deg2rad(pose.turn_deg)).T @ (self.points_mm.reshape(3, -1) - shift_mm)
        at = (head.to_voxel[:, :3] @ (self.shape @ flat) + head.to_voxel[:, 3:]).reshape(self.points_mm.shape)
        t1 = ndimage.map_coordinates(head.t1, at, order=3, prefilter=False, output=np.float32) / SCALE
        brain = ndimage.map_coordinates((head.regions > 0).view(np.uint8) * 255, at, order=1, output=np.float32) / 255
        rough = ndimage.map_coordinates(
            self.grain, flat.reshape(at.shape) / self.grain_mm, order=1, mode="grid-wrap", output=np.float32
        )
        step = (enlarge(t1, grid.shape).clip(0, 1) * (STEPS - 1)).astype(np.uint16)
        inner, outer = (curve[step] for curve in self.curves)
        image = outer + np.clip((enlarge(brain, grid.shape) - 0.5) * 2.5 + 0.5, 0, 1) * (inner - outer)
        image *= np.clip(step.astype(np.float32) * (10 / STEPS) - 0.5, 0, 1)  # air is dark in every contrast
        image = image.clip(0) * enlarge(rough, grid.shape) * self.bias
        down, along = low_pass(grid.lines, grid.fine), low_pass(grid.width, grid.fine)
        real, imaginary = (down @ (image * part @ along.T) for part in self.phase)
        return (real + 1j * imaginary).astype(np.complex64)


def draw_slice(head: Head, grid: Grid, chance: np.random.Generator) -> HeadSlice:
    """Draw plane, contrast, texture, bias field and phase of a scan of a head."""
    rows, columns = (np.array(direction, float) for direction in PLANES[chance.choice(3, p=(0.6, 0.2, 0.2))])
    if chance.random() < 0.35:
        rows, columns = columns, rows * chance.choice([-1, 1])
    turn = _rotation(chance.normal(0, np.deg2rad(10), 3))
    rows, columns = turn @ rows, turn @ columns
    middle = np.cross(rows, columns) * chance.uniform(-0.7, 0.7) * head.reach_mm + chance.normal(0, 5, 3)
    v_mm, u_mm = (np.linspace(-0.5, 0.5, round(fov / SPACING_MM)) * fov for fov in grid.fov_mm)
    points = rows[:, None, None] * v_mm[:, None] + columns[:, None, None] * u_mm + middle[:, None, None]
    noise = ndimage.gaussian_filter(chance.standard_normal((GRAIN, GRAIN, GRAIN)), 0.6, mode="wrap")
    noise *= chance.uniform(0, 0.06) / noise.std()
    return HeadSlice(
        head,
        grid,
        points,
        np.diag(1 / chance.uniform(0.9, 1.1, 3)),
        tissue_curves(chance, head.levels),
        (1 + noise).astype(np.float32),
        chance.uniform(1.0, 3.0),
        1 + np.float32(chance.uniform(0, 0.25)) * smooth_noise(chance, grid.shape, 90 / grid.sample_mm)[0],
        random_phase(chance, grid),
    )


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix of a rotation vector (3,), radian, by Rodrigues' formula."""
    angle = float(np.linalg.norm(angles))
    x, y, z = angles / max(angle, 1e-9)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)

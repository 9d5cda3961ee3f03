"""Slices of heads, bent and turned, at the resolution of the scan, in contrasts nobody acquired."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trt_build.data.contrast import STEPS, tissue_curves
from trt_build.data.fields import enlarge, smooth_noise
from trt_build.data.scene import Grid, Scene
from trt_build.data.texture import grain, vessels
from trt_build.data.volumes import SCALE, Head

__all__ = ["head_scene"]

SPACING_MM: Final = 1.2  # of the points a volume is asked at: finer than its voxels, coarser than the fine grid
BLUR_MM: Final = 1.3  # about the blur of a voxel of 2 mm, which scans of 2 mm do not have
SHARPEST: Final = 1.2  # times what that blur takes away is given back
OPPOSED: Final = 0.2  # share of scans in which all around the brain has the opposite sign, as fat has in some echoes
REGION_SETS: Final = 3  # random sets of brain regions that get signals of their own
# Directions of rows and columns in RAS for axial, coronal and sagittal slices, as they are hung.
PLANES: Final = (((0, -1, 0), (-1, 0, 0)), ((0, 0, -1), (-1, 0, 0)), ((0, 0, -1), (0, -1, 0)))


def head_scene(
    head: Head, grid: Grid, chance: np.random.Generator, natural: float = 0.0, sharpened: float = 0.0
) -> Scene:
    """Cut a random slice through a head; each scan of it has another contrast, bias field and grain.

    A share `natural` of scans keeps the contrast of the volume, a share `sharpened` of slices has less of its blur.
    """
    at = _voxels(head, grid, chance)
    t1 = ndimage.map_coordinates(head.t1, at, order=3, prefilter=False, output=np.float32) / SCALE
    if sharpened and chance.random() < sharpened:
        t1 += np.float32(chance.uniform(0, SHARPEST)) * (t1 - ndimage.gaussian_filter(t1, BLUR_MM / SPACING_MM))
    fine = enlarge(t1, grid.shape)
    fine += chance.uniform(0, 0.05) * grain(chance, grid, (0.8, 2.5)) * (fine > 0.15)
    step = (fine.clip(0, 1) * (STEPS - 1)).astype(np.uint16)
    if not head.regions.any():
        return _plain(step, head, grid)
    groups = _groups(head, at, grid, chance)
    lines = vessels(chance, grid) * groups[0] * (chance.random() < 0.6)

    def scan(draw: np.random.Generator) -> NDArray[np.float32]:
        if draw.random() < natural:
            return fine.clip(0) * (2 * groups[0] - 1) if draw.random() < OPPOSED else fine.clip(0)
        inner, outer = tissue_curves(draw, head.levels)
        around = outer[step]
        image = around + groups[0] * (inner[step] - around)
        for group in groups[1:]:
            image *= 1 + np.float32(draw.normal(0, 0.1)) * group
        image += np.float32(draw.uniform(-0.4, 0.6)) * lines
        image = _finished(image, step, grid, draw)
        return image * (2 * groups[0] - 1) if draw.random() < OPPOSED else image

    return scan


def _plain(step: NDArray[np.uint16], head: Head, grid: Grid) -> Scene:
    """Without label maps everything is one curve, of the brain below white matter and of fat above it."""

    def scan(draw: np.random.Generator) -> NDArray[np.float32]:
        inner, outer = tissue_curves(draw, head.levels)
        bright = np.clip((np.linspace(0, 1, STEPS, dtype=np.float32) - 0.7) / 0.1, 0, 1)
        dark = np.clip(np.linspace(0, 12, STEPS, dtype=np.float32) - 0.6, 0, 1)
        return _finished((dark * (inner + bright * (outer - inner)))[step], step, grid, draw)

    return scan


def _finished(
    image: NDArray[np.float32], step: NDArray[np.uint16], grid: Grid, draw: np.random.Generator
) -> NDArray[np.float32]:
    image *= 1 + np.float32(draw.uniform(0, 0.25)) * smooth_noise(draw, grid.shape, 90 / grid.sample_mm)[0]
    if draw.random() < 0.5:
        image *= 1 + np.float32(draw.uniform(0, 0.08)) * grain(draw, grid, (0.6, 2.0))
    image *= np.clip(step.astype(np.float32) * (10 / STEPS) - 0.5, 0, 1)  # air is dark in every contrast
    return image.clip(0)


def _groups(head: Head, at: NDArray[np.float32], grid: Grid, chance: np.random.Generator) -> NDArray[np.float32]:
    """The brain, then random sets of its regions (set, y, x) with soft but narrow borders."""
    lookup = (chance.random((REGION_SETS + 1, 256)) < 0.3).astype(np.uint8) * 255
    lookup[0, 1:], lookup[:, 0] = 255, 0
    coarse = np.stack([ndimage.map_coordinates(row[head.regions], at, order=1, output=np.float32) for row in lookup])
    return np.clip((enlarge(coarse, grid.shape) / 255 - 0.5) * 2.5 + 0.5, 0, 1)


def _voxels(head: Head, grid: Grid, chance: np.random.Generator) -> NDArray[np.float32]:
    """Voxel positions (3, y, x) of a random slice: turned, scaled, bent slowly, and a little quickly."""
    rows, columns = (np.array(direction, float) for direction in PLANES[chance.choice(3, p=(0.6, 0.2, 0.2))])
    if chance.random() < 0.35:
        rows, columns = columns, rows * chance.choice([-1, 1])
    turn = _rotation(chance.normal(0, np.deg2rad(12), 3) * (3 if chance.random() < 0.15 else 1))
    rows, columns = turn @ rows, turn @ columns
    normal = np.cross(rows, columns)
    shape = (max(8, round(grid.fov_mm[0] / SPACING_MM)), max(8, round(grid.fov_mm[1] / SPACING_MM)))
    v_mm, u_mm = (
        (np.linspace(-0.5, 0.5, size) * fov) / chance.uniform(0.88, 1.12)
        for size, fov in zip(shape, grid.fov_mm, strict=True)
    )
    middle = normal * chance.uniform(-0.75, 0.75) * head.reach_mm + chance.normal(0, 5, 3)
    points = rows[:, None, None] * v_mm[:, None] + columns[:, None, None] * u_mm + middle[:, None, None]
    points += chance.uniform(0, 5) * smooth_noise(chance, shape, 45 / SPACING_MM, 3)
    points += chance.uniform(0, 0.7) * smooth_noise(chance, shape, 6 / SPACING_MM, 3)
    flat = head.to_voxel[:, :3] @ points.reshape(3, -1) + head.to_voxel[:, 3:]
    return flat.reshape(3, *shape).astype(np.float32)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation matrix of a rotation vector (3,), radian, by Rodrigues' formula."""
    angle = float(np.linalg.norm(angles))
    x, y, z = angles / max(angle, 1e-9)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)

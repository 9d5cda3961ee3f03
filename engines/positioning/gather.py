"""Images of a scout, in one volume or in slices of any planes, brought onto one grid."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from protocols.geometry import Grid, lps_from_pixel

__all__ = ["Slab", "affine_of", "gathered"]

VOXEL_MM: Final = 4.0  # of the grid that slices are brought onto
LARGEST_MM: Final = 400.0  # of that grid: slices farther out are left
WHOLE: Final = 8  # partitions from which on one image is a volume of its own
Slab = tuple[NDArray[np.float32], Grid]  # magnitudes (z, y, x), where they lie


def gathered(slabs: Sequence[Slab]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Magnitudes (z, y, x), NaN where nothing was measured, and the affine (4, 4) from (x, y, z) voxel to LPS mm.

    A volume stays as it is, the last where there are several. Slices are put onto a grid of VOXEL_MM along L, P, S,
    smoothed to that within their planes, and averaged where they cross.
    """
    volumes = [slab for slab in slabs if slab[1].matrix[2] >= WHOLE]
    if volumes:
        pixels, grid = volumes[-1]
        return pixels, affine_of(grid)
    corners = np.concatenate([_corners(grid) for _, grid in slabs])
    middle = (corners.min(0) + corners.max(0)) / 2
    sizes = np.minimum(np.ptp(corners, axis=0), LARGEST_MM)
    shape = np.maximum(np.ceil(sizes / VOXEL_MM).astype(int), 1)
    affine = np.diag((VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0))
    affine[:3, 3] = middle - VOXEL_MM * (shape - 1) / 2
    total, count = np.zeros(shape[::-1], np.float32), np.zeros(shape[::-1], np.float32)
    for pixels, grid in slabs:
        for partition in range(len(pixels)):
            _put(pixels[partition], grid, partition, affine, total, count)
    made = np.full(total.shape, np.nan, np.float32)
    np.divide(total, count, out=made, where=count > 0)
    return made, affine


def affine_of(grid: Grid) -> NDArray[np.float64]:
    """(4, 4) from (x, y, z) voxel to LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = grid.axes() * grid.spacing_mm()
    affine[:3, 3] = lps_from_pixel(grid, np.zeros(3))
    return affine


def _corners(grid: Grid) -> NDArray[np.float64]:
    ends = [(-0.5, size - 0.5) for size in grid.matrix]
    return lps_from_pixel(grid, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))


def _put(
    pixels: NDArray[np.float32],
    grid: Grid,
    partition: int,
    affine: NDArray[np.float64],
    total: NDArray[np.float32],
    count: NDArray[np.float32],
) -> None:
    """Add one slice to a grid, in place."""
    spacing = grid.spacing_mm()
    sigma = [0.4 * np.sqrt(max(VOXEL_MM**2 - mm**2, 0.0)) / mm for mm in (spacing[1], spacing[0])]
    smooth = ndimage.gaussian_filter(pixels, sigma, mode="nearest")
    to_pixel = np.linalg.inv(affine_of(grid)) @ affine
    index = np.indices(total.shape, np.float32)[::-1]
    x, y, z = np.tensordot(to_pixel[:3, :3].astype(np.float32), index, 1) + to_pixel[:3, 3, None, None, None]
    half = max(spacing[2], VOXEL_MM) / spacing[2] / 2
    width, height, _ = grid.matrix
    inside = (np.abs(z - partition) <= half) & (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    total[inside] += ndimage.map_coordinates(smooth, (y[inside], x[inside]), order=1, mode="nearest")
    count[inside] += 1

"""Wrap-around foretold: how far what a scout shows reaches beyond the field of view of a slice."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Skin", "Slab", "overhang", "skin"]

Array = NDArray[np.float64]

BRIGHT: Final = 0.2  # of the scout's 98th percentile, above which there is tissue
LEAST: Final = 10  # points of the surface in a slice, below which the slice shows nothing


@dataclass(frozen=True, slots=True, eq=False)
class Skin:
    """The surface of what a scout shows."""

    points_mm: Array  # (point, 3)
    cut: NDArray[np.bool_]  # (point,) where the scout ends, not the tissue
    spacing_mm: float  # the largest distance of two voxels


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A slice and its field of view along phase encoding, LPS mm."""

    centre_mm: Array  # (3,)
    phase_dir: Array
    slice_dir: Array
    thickness_mm: float
    encoded_mm: float
    shown_mm: float  # of what is encoded, in the middle


def skin(pixels: NDArray[np.float32], affine: Array) -> Skin:
    """Points of the largest body in a volume (z, y, x) that have air beside them; affine from (x, y, z) to mm."""
    shown = pixels > BRIGHT * float(np.percentile(pixels, 98))
    parts, count = ndimage.label(shown)
    if count > 1:
        shown = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    places = np.argwhere(shown & ~ndimage.binary_erosion(shown, border_value=0))
    cut = ((places == 0) | (places == np.array(pixels.shape) - 1)).any(axis=1)
    points_mm = places[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    return Skin(points_mm, cut, float(np.linalg.norm(affine[:3, :3], axis=0).max()))


def overhang(body: Skin, slab: Slab) -> tuple[float, bool] | None:
    """How far (mm) a body reaches beyond what a slice may hold before it folds into the image, and whether it is cut.

    Negative where there is room. A part that the scout cuts off may reach further. None where the slice is empty.
    """
    away = body.points_mm - slab.centre_mm
    here = np.abs(away @ slab.slice_dir) <= (slab.thickness_mm + body.spacing_mm) / 2
    if np.count_nonzero(here) < LEAST:
        return None
    along = np.abs(away[here] @ slab.phase_dir)
    farthest = int(np.argmax(along))
    return float(along[farthest]) - (slab.encoded_mm - slab.shown_mm / 2), bool(body.cut[here][farthest])

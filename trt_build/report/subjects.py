"""Who lies in the simulated scanner: test heads, the MNI template, the Shepp-Logan phantom."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hw_sim.head import mni_head
from hw_sim.tissue import Contrast, Tissue, spin_echo, spoiled_gradient_echo

__all__ = ["Head", "SheppLogan", "Subject", "Template", "read_head", "subjects_of"]

Points = NDArray[np.float64]

AIR: Final = 0.08  # share of bright tissue below which a voxel that is connected to the outside is air
FAT_LEFT: Final = 0.3  # of the template's scalp, so that it is as bright beside the brain as in the test heads
RIM: Final = 0.03
# Value, semi-axes and centre as shares of half the field of view, turn in degrees: Toft, PhD thesis, DTU 1996.
ELLIPSES: Final = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)


class Subject(Protocol):
    """A patient of hw_sim of whom it is known, too, where the brain is."""

    @property
    def radius_mm(self) -> float:
        """Nothing lies farther from the isocentre along any axis."""

    def image(self, points_mm: Points, weight: Contrast) -> NDArray[np.float32]:
        """Signal at points (..., 3), LPS mm."""

    def brain(self, points_mm: Points) -> NDArray[np.bool_]:
        """Tell which points are brain."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A T1-weighted volume as it was scanned; cubic interpolation, the middle of the brain at the isocentre."""

    spline: NDArray[np.float32]  # (i, j, k) cubic spline coefficients
    labels: NDArray[np.bool_]  # (i, j, k) brain
    inverse: NDArray[np.float64]  # (4, 4) LPS mm to voxel
    radius_mm: float = 120.0

    def image(self, points_mm: Points, weight: Contrast) -> NDArray[np.float32]:  # noqa: ARG002 (the scan's contrast is in the voxels)
        """Signal at points (..., 3), LPS mm; bright tissue is about 1."""
        at = _voxels(self.inverse, points_mm)
        return ndimage.map_coordinates(self.spline, at, order=3, prefilter=False, output=np.float32).clip(min=0)

    def brain(self, points_mm: Points) -> NDArray[np.bool_]:
        """Tell which points are labelled as brain."""
        at = _voxels(self.inverse, points_mm)
        return ndimage.map_coordinates(self.labels.astype(np.float32), at, order=1) > 0.5


def _voxels(inverse: NDArray[np.float64], points_mm: Points) -> Points:
    return np.moveaxis(points_mm @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)


def _without_air(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tissue is kept, noise around the head is not: it would be taken for a finely structured patient."""
    bright = float(np.percentile(voxels, 98))
    parts, count = ndimage.label(ndimage.gaussian_filter(voxels, 0.7) > AIR * bright)
    if count:
        largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
        head = ndimage.binary_fill_holes(ndimage.binary_dilation(parts == largest))
        voxels = voxels * ndimage.gaussian_filter(head.astype(np.float32), 0.5)
    return (voxels / bright).astype(np.float32)


@lru_cache(maxsize=2)
def read_head(folder: Path, name: str) -> Head:
    """Read one subject of the folder of heads (t1, dlmuse_seg)."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(folder / "t1" / f"{name}_T1.nii.gz"))
    labels = nibabel.as_closest_canonical(nibabel.load(folder / "dlmuse_seg" / f"{name}_T1_DLMUSE.nii.gz"))
    brain = np.asarray(labels.dataobj) > 0
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.array(image.affine, np.float64)
    where = np.argwhere(brain)
    affine[:3, 3] = -(affine[:3, :3] @ ((where.min(0) + where.max(0)) / 2))
    voxels = _without_air(np.asarray(image.dataobj, np.float32))
    spline = ndimage.spline_filter(voxels, order=3, output=np.float32)
    return Head(spline, brain, np.linalg.inv(affine))


def subjects_of(folder: Path, split: str) -> list[str]:
    """Names of the subjects of one part of the fixed split."""
    with (folder / "split.csv").open(newline="") as file:
        return [row["subject"] for row in csv.DictReader(file) if row["split"] == split]


def _t1_weighted(tissue: Tissue) -> float:
    left = FAT_LEFT if tissue.name == "fat" else 1.0
    return left * spoiled_gradient_echo(tissue, tr_ms=20, te_ms=3, flip_deg=25)


def _t2_weighted(tissue: Tissue) -> float:
    return spin_echo(tissue, tr_ms=4000, te_ms=90)


@dataclass(frozen=True, slots=True)
class Template:
    """The MNI head of hw_sim in one of two contrasts."""

    t2_weighted: bool = False
    radius_mm: float = 120.0

    def image(self, points_mm: Points, weight: Contrast) -> NDArray[np.float32]:  # noqa: ARG002
        """Signal at points (..., 3), LPS mm."""
        return mni_head().image(points_mm, _t2_weighted if self.t2_weighted else _t1_weighted)

    def brain(self, points_mm: Points) -> NDArray[np.bool_]:
        """Tell where grey and white matter are, with the ventricles between them."""
        matter = mni_head().image(points_mm, lambda tissue: float(tissue.name in {"grey", "white"}))
        return ndimage.binary_fill_holes(matter > 0.3)


@dataclass(frozen=True, slots=True)
class SheppLogan:
    """The Shepp-Logan phantom with Toft's contrast, the same in every axial plane; brain is all within the skull."""

    half_mm: float = 105.0
    radius_mm: float = 120.0

    def image(self, points_mm: Points, weight: Contrast) -> NDArray[np.float32]:  # noqa: ARG002
        """Signal at points (..., 3), LPS mm."""
        total = np.zeros(points_mm.shape[:-1], np.float32)
        for value, *ellipse in ELLIPSES:
            total += np.float32(value) * self._inside(points_mm, *ellipse)
        return total

    def brain(self, points_mm: Points) -> NDArray[np.bool_]:
        """Tell what lies inside the skull, without the pixels that share in it."""
        _, wide, high, *place = ELLIPSES[1]
        return self._inside(points_mm, wide - RIM, high - RIM, *place)

    def _inside(
        self, points_mm: Points, wide: float, high: float, right: float, up: float, turn_deg: float
    ) -> NDArray[np.bool_]:
        x, y = points_mm[..., 0] / self.half_mm - right, -points_mm[..., 1] / self.half_mm - up
        angle = np.deg2rad(turn_deg)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        return (along / wide) ** 2 + (across / high) ** 2 <= 1

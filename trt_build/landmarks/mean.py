"""The mean head of the training subjects, in the reference frame: averaged, laid upon each of them, averaged again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.grid import Sheet
from engines.positioning.laid import Laid, laid
from engines.positioning.mean_head import MeanHead
from engines.positioning.pose import Pose
from engines.positioning.scout import Scout
from trt_build.data.errors import DataError
from trt_build.landmarks.heads import NAMES, TRUTH, Subject, subjects

__all__ = ["mean_of", "reference_turn", "symmetric_mean"]

VOXEL_MM: Final = 4.0
LOW_MM, HIGH_MM = np.array((-88.0, -104.0, -92.0)), np.array((88.0, 124.0, 96.0))  # LPS of the template
WIDTH_MM: Final = 3.0  # full width at half maximum of the smoothing; voxels of a scout do the rest
ROUNDS: Final = 3
MIRRORED: Final = [
    NAMES.index(name.replace("left", "#").replace("right", "left").replace("#", "right")) for name in NAMES
]
Array = NDArray[np.float64]


def reference_turn(subject: Subject) -> Array:
    """Rotation (3, 3) from the template to the file of a head: its reference pose in TRUTH; raises DataError."""
    if subject.turn is None:
        raise DataError(f"{TRUTH.name}: no reference pose of {subject.name}; scanside-build landmarks finds it")
    return subject.turn


def mean_of(data: Path) -> tuple[MeanHead, Array]:
    """The mean head, and the landmarks (name, 3) in it: those of the truth where it lies upon the training subjects.

    Both are symmetric, and turned as the reference poses are on average. Raises DataError.
    """
    heads = subjects(data, "train")
    sheets = [Sheet(_as_scout(subject)) for subject in heads]
    axes = [np.arange(low, high + 0.1, VOXEL_MM) for low, high in zip(LOW_MM, HIGH_MM, strict=True)]
    grid = np.stack(np.meshgrid(*axes[::-1], indexing="ij")[::-1], -1)
    affine = np.diag((VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0))
    affine[:3, 3] = LOW_MM
    mean = _averaged(heads, [subject.pose for subject in heads], grid, affine)
    lies = [_upon(sheet, mean, subject) for sheet, subject in zip(sheets, heads, strict=True)]
    for _ in range(ROUNDS):
        mean = _averaged(heads, lies, grid @ _drift(heads, lies), affine)
        lies = [_upon(sheet, mean, subject) for sheet, subject in zip(sheets, heads, strict=True)]
    places = np.nanmean([_places(subject, one) for subject, one in zip(heads, lies, strict=True)], axis=0)
    return mean, (places + places[MIRRORED] * (-1, 1, 1)) / 2


def _as_scout(subject: Subject) -> Scout:
    pixels = np.ascontiguousarray(subject.t1.transpose(2, 1, 0))
    return Scout(pixels, subject.affine, None, "HFS", (0.0, 0.0, 0.0), subject.name, 0.0)


def _upon(sheet: Sheet, mean: MeanHead, subject: Subject) -> Laid:
    found = laid(sheet, mean, subject.pose)
    if found is None:
        raise DataError(f"{subject.name}: the mean head cannot be laid upon it; look at the volume")
    return found


def _averaged(heads: Sequence[Subject], lies: Sequence[Laid | Pose], grid: Array, affine: Array) -> MeanHead:
    """Mean brightness and share of brain over the heads and their mirror images at places (z, y, x, 3) of the mean."""
    total = np.zeros((2, *grid.shape[:3]), np.float32)
    for subject, one in zip(heads, lies, strict=True):
        there = one.to_scanner(grid.reshape(-1, 3))
        inverse = np.linalg.inv(subject.affine)
        voxels = (there @ inverse[:3, :3].T + inverse[:3, 3]).T
        sigma = WIDTH_MM / 2.355 / np.linalg.norm(subject.affine[:3, :3], axis=0)
        for row, volume in zip(total, (subject.t1, subject.brain), strict=True):
            smooth = ndimage.gaussian_filter(volume, sigma)
            row += ndimage.map_coordinates(smooth, voxels, order=1, output=np.float32).reshape(row.shape)
    values, brain = (total + total[..., ::-1]) / (2 * len(heads))
    return MeanHead(values, brain, affine)


def _drift(heads: Sequence[Subject], lies: Sequence[Laid]) -> Array:
    """By which the mean is turned against the reference poses (3, 3), symmetric."""
    return symmetric_mean(
        [reference_turn(subject).T @ one.posed.turn for subject, one in zip(heads, lies, strict=True)]
    )


def symmetric_mean(turns: Sequence[Array]) -> Array:
    """Mean rotation (3, 3) of some and of their mirror images."""
    across, mean = np.diag((-1.0, 1.0, 1.0)), np.mean(turns, axis=0)
    left, _, right = np.linalg.svd(mean + across @ mean @ across)
    return np.asarray(left @ right, np.float64)


def _places(subject: Subject, lies: Laid) -> Array:
    known = np.isfinite(subject.places_mm).all(axis=1, keepdims=True)
    return np.where(known, lies.to_mean(np.where(known, subject.places_mm, 0.0)), np.nan)

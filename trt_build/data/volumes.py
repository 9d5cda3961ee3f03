"""Heads to train on: NIfTI volumes of a folder, with label maps where there are some, split by subject."""

import csv
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trt_build.data.errors import DataError

__all__ = ["Head", "Source", "Split", "load_head", "open_source"]

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
LABELS: Final = ("seg", "label", "dlmuse", "aseg", "mask")  # in the name of a label map or of its folder
SCALE: Final = 16000  # of spline coefficients kept as int16
WHITE: Final = 0.6  # where white matter lies on the scale of T1, so that fat finds room above it


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One subject: T1 as cubic spline coefficients, and regions."""

    t1: NDArray[np.int16]  # (i, j, k) spline coefficients, SCALE is 1
    regions: NDArray[np.uint8]  # (i, j, k), 0 is not brain; all zero without label maps
    to_voxel: NDArray[np.float64]  # (3, 4) from mm about the middle of the brain, RAS
    levels: tuple[float, float, float]  # T1 of CSF, grey and white matter
    reach_mm: float  # half the largest extent of the brain, or of the head without label maps


@dataclass(frozen=True, slots=True)
class Source:
    """Subjects of one split of a folder; volumes are read when they are first asked for, and kept."""

    files: tuple[tuple[Path, Path | None], ...]  # volume, label map
    subjects: tuple[str, ...]

    def head(self, number: int) -> Head:
        """Read one subject."""
        return load_head(*self.files[number])

    def read_all(self) -> None:
        """Read every subject now, so that bad files are told before a training begins. Raises DataError."""
        for number in range(len(self.files)):
            self.head(number)


def open_source(folder: Path, split: Split = "train", seed: int = 0) -> Source:
    """Find volumes (.nii, .nii.gz) below a folder, and take those of one split by subject.

    The split is that of split.csv (columns subject, split) in the folder; without one, subjects are drawn by `seed`:
    70 % to train on, 15 % each to validate and to test. A file is a label map when its name or folder says so. Raises
    DataError for a folder without volumes, or with fewer than two.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: not a folder; name the one that holds the NIfTI volumes to train on")
    files = sorted(path for path in folder.rglob("*") if path.name.endswith((".nii", ".nii.gz")))
    labels = [path for path in files if _is_label(path.relative_to(folder))]
    volumes = {_subject(path): path for path in files if path not in labels}
    if not volumes:
        raise DataError(f"{folder}: got no NIfTI volume, wanted two or more files *.nii or *.nii.gz in it or below")
    if len(volumes) == 1:
        raise DataError(f"{folder}: got one volume ({next(iter(volumes))}), wanted two or more: one is to validate on")
    maps = {_subject(path): path for path in labels}
    wanted = _split(folder, sorted(volumes), seed)
    subjects = tuple(name for name in sorted(volumes) if wanted.get(name) == split)
    if not subjects and split != "test":
        raise DataError(f"{folder}: got no subject to {split} on; add one to split.csv, or remove that file")
    return Source(tuple((volumes[name], maps.get(name)) for name in subjects), subjects)


def _is_label(path: Path) -> bool:
    return any(word in part.lower() for part in path.parts[-2:] for word in LABELS)


def _subject(path: Path) -> str:
    return path.name.split(".nii")[0].split("_")[0]


def _split(folder: Path, subjects: list[str], seed: int) -> dict[str, str]:
    table = folder / "split.csv"
    if table.exists():
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows or not {"subject", "split"} <= rows[0].keys():
            raise DataError(f"{table}: got columns {list(rows[0]) if rows else []}, wanted 'subject' and 'split'")
        return {row["subject"]: row["split"] for row in rows}
    order = np.random.default_rng(seed).permutation(subjects)
    held = max(1, round(0.15 * len(order)))
    tested = held if len(order) > 2 else 0
    return {str(name): SPLITS[1 if n < held else 2 if n < held + tested else 0] for n, name in enumerate(order)}


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
    except ImportError as missing:
        raise DataError("reading volumes needs nibabel: pip install 'scanside[build]'") from missing
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        voxels = np.squeeze(np.asarray(image.dataobj))
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as problem:
        raise DataError(f"{path}: not a readable NIfTI file ({problem}); remove it or copy it again") from problem
    if voxels.ndim != 3 or min(voxels.shape) < 16:
        raise DataError(f"{path}: got voxels {voxels.shape}, wanted a volume (i, j, k) of 16 or more each way")
    if not np.isfinite(voxels).all():
        count = int(voxels.size - np.isfinite(voxels).sum())
        raise DataError(f"{path}: got {count} voxels that are not finite, wanted numbers; repair or remove the file")
    return voxels, np.array(image.affine, np.float64)


@lru_cache(maxsize=64)
def load_head(volume: Path, labels: Path | None = None) -> Head:
    """Read one subject, T1 scaled so that white matter is at WHITE.

    Raises DataError for a file that cannot be read, is no volume, is empty, or holds voxels that are not finite.
    """
    t1, affine = _read(volume)
    t1 = t1.astype(np.float32)
    regions = np.zeros(t1.shape, np.uint8)
    if labels is not None:
        named, _ = _read(labels)
        if named.shape != t1.shape:
            raise DataError(f"{labels}: got labels {named.shape} for a volume {t1.shape}, wanted the same grid")
        regions = np.unique(named, return_inverse=True)[1].reshape(named.shape).clip(0, 255).astype(np.uint8)
    levels = _levels(t1[regions > 0] if regions.any() else t1[t1 > 0.2 * t1.max()], volume)
    scaled = t1 * np.float32(WHITE / levels[2])
    shown = np.argwhere(regions if regions.any() else scaled > 0.1)
    low, high = shown.min(0), shown.max(0) + 1
    middle = (low + high - 1) / 2
    inverse = np.linalg.inv(affine[:3, :3])
    coefficients = ndimage.spline_filter(scaled.clip(0, 1.2), 3, output=np.float32)
    return Head(
        (coefficients * SCALE).clip(-32767, 32767).astype(np.int16),
        regions,
        np.concatenate([inverse, middle[:, None]], 1),
        (levels[0] / levels[2] * WHITE, levels[1] / levels[2] * WHITE, WHITE),
        float(np.abs(affine[:3, :3] @ (high - low)).max() / 2),
    )


def _levels(brain: NDArray[np.float32], path: Path) -> tuple[float, float, float]:
    """Three levels of T1 by k-means: CSF, grey and white matter where only brain was given."""
    if brain.size < 100 or brain.max() <= brain.min():
        raise DataError(f"{path}: got a volume without contrast, wanted a head; remove the file")
    brain = brain[:: max(1, brain.size // 20000)]
    levels = np.percentile(brain, [5, 40, 85])
    for _ in range(20):
        nearest = np.abs(brain[:, None] - levels).argmin(1)
        levels = np.array([brain[nearest == n].mean() if (nearest == n).any() else levels[n] for n in range(3)])
    low, middle, high = sorted(float(level) for level in levels)
    return low, middle, high

"""Heads whose landmarks are known: volumes of a folder, places by registration, eyes and chiasm where they show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.pose import Pose, fitted
from trt_build.data.errors import DataError
from trt_build.data.volumes import SCALE, Head, Split, load_head, open_source

__all__ = ["NAMES", "TRUTH", "Subject", "load_subject", "subject_of", "subjects"]

REGISTERED: Final = (
    "ac",
    "pc",
    "genu",
    "splenium",
    "fossa",
    "pons",
    "hippocampus_head_left",
    "hippocampus_head_right",
    "hippocampus_tail_left",
    "hippocampus_tail_right",
)
SEEN: Final = ("eye_left", "eye_right", "chiasm")
EXTENT: Final = ("brain_left", "brain_right", "brain_front", "brain_back", "brain_top", "brain_bottom")
NAMES: Final = (*REGISTERED, *SEEN, *EXTENT)  # in the order of the networks' outputs
TRUTH: Final = Path(__file__).parent / "truth.json"
SLACK_MM: Final = 2.0  # by which heads differ from the template


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One head, its landmarks, and what a scanner may show of it in place of its own face."""

    name: str
    t1: NDArray[np.float32]  # (i, j, k), white matter 0.6
    brain: NDArray[np.float32]  # (i, j, k) 1 inside
    away_mm: NDArray[np.float32]  # (i, j, k) distance from the brain
    levels: tuple[float, float, float]  # T1 of CSF, grey and white matter
    affine: NDArray[np.float64]  # (4, 4) voxel to LPS mm of the file
    places_mm: NDArray[np.float64]  # (landmark, 3) LPS mm of the file, NaN where it is not known
    pose: Pose  # of the template in the file
    turn: NDArray[np.float64] | None = None  # (3, 3) from the template to the file, reference pose; None: not known


def subjects(folder: Path, split: Split) -> tuple[Subject, ...]:
    """All heads of one split whose landmarks stand in TRUTH; raises DataError where there is none."""
    source = open_source(folder, split)
    known = json.loads(TRUTH.read_text())
    found = [
        load_subject(name, *files)
        for name, files in zip(source.subjects, source.files, strict=True)
        if name in known["places"]
    ]
    if not found:
        raise DataError(f"{folder}: no {split} subject stands in {TRUTH.name}; scanside-build landmarks finds them")
    return tuple(found)


@lru_cache(maxsize=64)
def load_subject(name: str, volume: Path, labels: Path | None) -> Subject:
    """Read one head that stands in TRUTH, and its labels."""
    known = json.loads(TRUTH.read_text())
    return subject_of(name, volume, labels, known["places"][name], known["turns"].get(name))


def subject_of(
    name: str,
    volume: Path,
    labels: Path | None,
    known: Mapping[str, Sequence[float]],
    turn: Sequence[Sequence[float]] | None,
) -> Subject:
    """Read one head whose landmarks and reference pose are known, LPS mm of its file."""
    import nibabel

    head = load_head(volume, labels)
    affine = np.diag((-1.0, -1.0, 1.0, 1.0)) @ nibabel.as_closest_canonical(nibabel.load(volume)).affine
    places = np.array([known.get(landmark, (np.nan,) * 3) for landmark in (*REGISTERED, *SEEN)])
    here = len(REGISTERED)
    pose = fitted(template_mm()[:here], places[:here], np.ones(here), SLACK_MM)
    brain = head.regions > 0
    voxels = np.argwhere(brain) @ affine[:3, :3].T + affine[:3, 3]
    ends = pose.to_scanner(extents(pose.to_template(voxels)))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    away = ndimage.distance_transform_edt(~brain, sampling=spacing).astype(np.float32)
    return Subject(
        name,
        _values(head),
        brain.astype(np.float32),
        away,
        head.levels,
        affine,
        np.concatenate([places, ends]),
        pose,
        None if turn is None else np.array(turn),
    )


@lru_cache(maxsize=1)
def template_mm() -> NDArray[np.float64]:
    """Landmarks (landmark, 3) of the template, LPS mm; those it does not show are means of the training heads."""
    known = json.loads(TRUTH.read_text())["template"]
    return np.array([known[name] for name in NAMES])


def extents(brain_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a brain (n, 3) ends (6, 3), in the order of EXTENT: the middle of the outermost thousandth each way."""
    count = max(1, len(brain_mm) // 1000)
    ends = []
    for axis, sign in ((0, 1), (0, -1), (1, -1), (1, 1), (2, 1), (2, -1)):
        outermost = np.argpartition(-sign * brain_mm[:, axis], count)[:count]
        ends.append(brain_mm[outermost].mean(0))
    return np.array(ends)


def _values(head: Head) -> NDArray[np.float32]:
    """T1 at the voxels, of its spline coefficients."""
    t1 = head.t1.astype(np.float32) / SCALE
    for axis in range(3):
        t1 = ndimage.correlate1d(t1, (1 / 6, 2 / 3, 1 / 6), axis, mode="mirror")
    return t1.clip(0, 1)

"""What `scanside-build landmarks` does: the places of all landmarks in the heads of a folder, into truth.json."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from engines.positioning.pose import Pose, fitted
from hw_sim.landmarks import MNI_MM
from trt_build.data.errors import DataError
from trt_build.data.volumes import SPLITS, open_source
from trt_build.landmarks.eyes import find_eye
from trt_build.landmarks.heads import EXTENT, REGISTERED, SEEN, SLACK_MM, extents
from trt_build.landmarks.registration import Volume, carried, template, turned_by

__all__ = ["OneTruth", "find_truth", "run", "truth_in"]

RAS: Final = np.array((-1.0, -1.0, 1.0))  # times LPS
EYES_MM: Final = ((35.0, -59.0, -41.0), (-35.0, -59.0, -41.0))  # about where they are, LPS of the template
CHIASM: Final = 69  # label of DLMUSE
FEWEST: Final = 3  # voxels of it
BRIGHT: Final = 80  # percentile of the brain's T1 that white matter is at
MIRROR: Final = [
    REGISTERED.index(name.replace("left", "#").replace("right", "left").replace("#", "right")) for name in REGISTERED
]
Places = NDArray[np.float64]


def run(folder: Path, out: Path) -> None:
    """Find them, write the file, and say how well mirrored registrations agree."""
    try:
        found = find_truth(folder, typer.echo)
        out.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    except (DataError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    typer.echo(f"{out}: {len(found['places'])} heads")


def find_truth(folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Landmarks of every head with a label map, LPS mm of its file, and the template's.

    Points of the symmetric template are carried by registration; for test subjects also that of the mirrored head, and
    the mean is taken. Eyes are found in the volume, the chiasm where its label has FEWEST voxels. What the template
    does not show is the mean of the training heads.
    """
    fixed = template()
    places: dict[str, dict[str, list[float]]] = {}
    turns: dict[str, list[list[float]]] = {}
    seen: list[Places] = []
    for split in SPLITS:
        source = open_source(folder, split)
        for name, (volume, labels) in zip(source.subjects, source.files, strict=True):
            if labels is None:
                raise DataError(f"{volume}: got no label map beside it, wanted one, as registration is of brains")
            one = truth_in(fixed, volume, labels, twice=split == "test")
            if split == "test":
                tell(f"{name}: mirrored {one.apart_mm:.2f} mm off at most")
            places[name], turns[name] = one.places, one.turn
            if split == "train":
                own = [places[name].get(mark, (np.nan,) * 3) for mark in SEEN]
                ends = extents(one.pose.to_template(one.brain_mm))
                seen.append(np.concatenate([one.pose.to_template(np.array(own)), ends]))
    middles = dict(zip((*SEEN, *EXTENT), np.nanmean(seen, axis=0), strict=True))
    known = {name: np.array(place) * RAS for name, place in MNI_MM.items()} | middles
    return {"template": _symmetric(known), "places": places, "turns": turns}


@dataclass(frozen=True, slots=True, eq=False)
class OneTruth:
    """What registration finds in one head, LPS mm of its file."""

    places: dict[str, list[float]]
    turn: list[list[float]]  # reference pose
    pose: Pose  # of the template
    brain_mm: Places  # (n, 3) its voxels
    apart_mm: float  # by which the mirrored head differs at most, where it was asked


def truth_in(fixed: Volume, volume: Path, labels: Path, *, twice: bool) -> OneTruth:
    """Landmarks of one head whose label map is not 0 in the brain; `twice`: the mean with those of its mirror image."""
    start = np.array([MNI_MM[name] for name in REGISTERED])
    t1, regions, affine = _read(volume, labels)
    brain = (np.where(regions > 0, t1, 0).astype(np.float32), affine)
    found, apart_mm = carried(start, fixed, brain), 0.0
    if twice:
        other = _mirrored(start, fixed, brain)
        apart_mm = float(np.linalg.norm(found - other, axis=1).max())
        found = (found + other) / 2
    pose = fitted(start * RAS, found * RAS, np.ones(len(start)), SLACK_MM)
    turn = np.round(turned_by(fixed, brain), 6).tolist()
    places = _all_of(found * RAS, pose, t1, regions, affine)
    return OneTruth(places, turn, pose, _mm(np.argwhere(regions > 0), affine) * RAS, apart_mm)


def _all_of(
    registered: Places, pose: Pose, t1: NDArray[np.float32], regions: NDArray[Any], affine: NDArray[np.float64]
) -> dict[str, list[float]]:
    """Landmarks of one head, LPS mm, rounded to 0.01; those that do not show are left out."""
    found = dict(zip(REGISTERED, registered, strict=True))
    white = float(np.percentile(t1[regions > 0], BRIGHT))
    for name, about in zip(SEEN, EYES_MM, strict=False):
        place = find_eye(t1, affine, white, pose.to_scanner(np.array(about)) * RAS)
        if place is not None:
            found[name] = place * RAS
    chiasm = np.argwhere(regions == CHIASM)
    if len(chiasm) >= FEWEST:
        found["chiasm"] = (_mm(chiasm, affine) * RAS).mean(0)
    return {name: np.round(place, 2).tolist() for name, place in found.items()}


def _mirrored(start: Places, fixed: Volume, brain: Volume) -> Places:
    """The same by registration of the mirrored head; the template is symmetric."""
    voxels, affine = brain
    across = 2 * affine[0, 3] + affine[0, 0] * (voxels.shape[0] - 1)
    found = carried(start, fixed, (np.ascontiguousarray(voxels[::-1]), affine))
    found[:, 0] = across - found[:, 0]
    return found[MIRROR]


def _symmetric(known: dict[str, Places]) -> dict[str, list[float]]:
    """The template's landmarks, what lies on the left as far out as on the right."""
    made = {name: np.array(place, np.float64) for name, place in known.items()}
    for name in known:
        if name.endswith("_left"):
            other = f"{name[:-4]}right"
            mean = (made[name] + made[other] * (-1, 1, 1)) / 2
            made[name], made[other] = mean, mean * (-1, 1, 1)
        elif not name.endswith("_right") and name not in MNI_MM:
            made[name] = made[name] * (0, 1, 1)
    return {name: np.round(place, 2).tolist() for name, place in made.items()}


def _read(volume: Path, labels: Path) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64]]:
    """T1 and label map (i, j, k), and the affine from voxel to RAS mm."""
    import nibabel

    image, named = (nibabel.as_closest_canonical(nibabel.load(path)) for path in (volume, labels))
    if image.shape != named.shape:
        raise DataError(f"{labels}: got labels {named.shape} for a volume {image.shape}, wanted the same grid")
    affine = np.array(image.affine, np.float64)
    return np.asarray(image.dataobj, np.float32), np.asarray(named.dataobj), affine


def _mm(voxels: NDArray[np.integer], affine: NDArray[np.float64]) -> Places:
    return voxels @ affine[:3, :3].T + affine[:3, 3]

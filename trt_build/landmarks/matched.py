"""How far carried landmarks of the midline lie off: what the template shows about each of them, found again in heads.

Label maps know no fluid outside the ventricles. Brains that are masked by them end at the cisterns, where the template
goes on, and demons pull the walls of the third ventricle apart: AC and PC came to lie as far apart in heads as in the
template, which is a tenth larger, and their line four degrees too steep. What is found in the training subjects on
average is taken from the places in all heads: python -m trt_build.landmarks.matched ../shared/data/heads
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from scipy import ndimage

from hw_sim.landmarks import MNI_MM
from trt_build.landmarks.heads import NAMES, TRUTH, Subject, subjects
from trt_build.landmarks.mean import reference_turn
from trt_build.landmarks.registration import Volume, template
from trt_build.landmarks.truth import RAS

__all__ = ["MIDLINE", "moved", "off_mm"]

MIDLINE: Final = ("ac", "pc", "genu", "splenium", "fossa", "pons")
ACROSS_MM, ABOUT_MM = 5, 8  # of what is compared, along L, and along P and S
REACH_MM, STEP_MM = 4.0, 0.5  # to which it is looked for along P and S
Array = NDArray[np.float64]


def off_mm(heads: Sequence[Subject], fixed: Volume) -> dict[str, Array]:
    """By how much each landmark of MIDLINE lies off in heads (L, P, S), template mm: the mean of the best correlations.

    `fixed` is the template; its surroundings of a landmark are brought to the size and the reference pose of each head.
    """
    sides = (np.arange(-mm, mm + 1.0) for mm in (ACROSS_MM, ABOUT_MM, ABOUT_MM))
    around = np.stack(np.meshgrid(*sides, indexing="ij"), -1).reshape(-1, 3)
    made = {}
    for name in MIDLINE:
        wanted = _at(*fixed, np.array(MNI_MM[name]) + around * RAS)
        made[name] = np.mean([_off(head, name, wanted, around) for head in heads], axis=0).round(2)
    return made


def _off(head: Subject, name: str, wanted: Array, around: Array) -> Array:
    turn, place = reference_turn(head), head.places_mm[NAMES.index(name)]
    steps = np.arange(-REACH_MM, REACH_MM + STEP_MM, STEP_MM)
    by = np.array([(0.0, back, up) for back in steps for up in steps])
    seen = (_at(head.t1, head.affine, place + head.pose.scale * (around + one) @ turn.T) for one in by)
    return np.asarray(-by[int(np.argmax([np.corrcoef(wanted, one)[0, 1] for one in seen]))])


def _at(voxels: NDArray[np.float32], affine: Array, places_mm: Array) -> Array:
    inverse = np.linalg.inv(affine)
    at = (places_mm @ inverse[:3, :3].T + inverse[:3, 3]).T
    return np.asarray(ndimage.map_coordinates(voxels, at, np.float64, order=1))


def moved(known: Mapping[str, Any], heads: Sequence[Subject], off: Mapping[str, Array]) -> dict[str, Any]:
    """The content of truth.json with the landmarks of heads where they are, when they lie off so far (template mm)."""
    places = {name: dict(marks) for name, marks in known["places"].items()}
    for head in heads:
        for name, by in off.items():
            there = np.array(places[head.name][name]) - head.pose.scale * reference_turn(head) @ by
            places[head.name][name] = np.round(there, 2).tolist()
    return {**known, "places": places}


def _run(data: Path) -> None:
    groups = [subjects(data, split) for split in ("train", "validation", "test")]
    off = off_mm(groups[0], template())
    made = moved(json.loads(TRUTH.read_text()), [head for group in groups for head in group], off)
    TRUTH.write_text(json.dumps(made, indent=0) + "\n", encoding="utf-8")
    typer.echo(json.dumps({name: by.tolist() for name, by in off.items()}))


if __name__ == "__main__":
    _run(Path(sys.argv[1]))

"""The same subject again: planes that were stored with a scout, laid upon a new one by where the head has gone."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from engines.errors import EngineError
from engines.positioning.rigid import Moved, Points, aligned, points_of, searched
from engines.positioning.scout import Scout
from protocols.stack import Stack

__all__ = ["Prior", "again", "carried", "keep", "recall"]

ALIKE: Final = 0.85  # correlation below which it is another head, or the search has gone astray
TURNS_DEG: Final = (-20.0, 0.0, 20.0)  # about each axis: where the search begins, besides where the head was
PSEUDONYM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """What is kept of an earlier exam: what the scout showed, and where slices lay on it."""

    seen: Points
    stacks: Mapping[str, Stack]  # by plan


def keep(folder: Path, pseudonym: str, scout: Scout, stacks: Mapping[str, Stack]) -> Path:
    """Store planes with the scout that they were set on, in place of what was stored of this subject; returns the file.

    The file is for its owner alone: a scout of 4 mm still has a face. Raises EngineError for what is no pseudonym.
    """
    path = _file(folder, pseudonym)
    seen = points_of(scout)
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    told = json.dumps({plan: stack.model_dump(mode="json") for plan, stack in stacks.items()})
    with path.open("wb") as file:
        np.savez_compressed(
            file, places_mm=seen.places_mm.astype(np.float32), values=seen.values, stacks=np.array(told)
        )
    return path


def recall(folder: Path, pseudonym: str) -> Prior | None:
    """What is stored of a subject; None where nothing is. Raises EngineError for a file that cannot be read."""
    path = _file(folder, pseudonym)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            seen = Points(stored["places_mm"].astype(np.float64), stored["values"].astype(np.float32))
            stacks = json.loads(str(stored["stacks"]))
        return Prior(seen, {plan: Stack.model_validate(stack) for plan, stack in stacks.items()})
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise EngineError(
            f"{path}: no prior exam can be read from it ({error}); remove it and prescribe anew"
        ) from None


def again(prior: Prior, scout: Scout) -> Moved | None:
    """Where the head of an earlier exam lies in a new scout; None where no place is found that looks like it.

    First from where it was, then with its middle upon that of the new one, turned by 20 degrees about every axis either
    way: heads that lie up to 30 degrees and 40 mm apart are found.
    """
    found = aligned(prior.seen, scout)
    if found.likeness < ALIKE:
        found = aligned(prior.seen, scout, _beginning(prior.seen, scout))
    return found if found.likeness >= ALIKE else None


def carried(stack: Stack, moved: Moved) -> Stack:
    """A stack that has gone where the head has gone."""
    read, phase, slice_ = (_vector(moved.turn @ direction) for direction in stack.axes().T)
    centre = _vector(moved.to_now(np.array(stack.centre_mm)))
    places = {"centre_mm": centre, "read_dir": read, "phase_dir": phase, "slice_dir": slice_}
    return stack.model_copy(update=places)


def _beginning(then: Points, scout: Scout) -> Moved:
    """The best of 27 turns with both middles in one place."""
    here, there = then.places_mm.mean(axis=0), points_of(scout).places_mm.mean(axis=0)
    turns = [Rotation.from_rotvec(angles, degrees=True).as_matrix() for angles in product(TURNS_DEG, repeat=3)]
    return searched(then, scout, [Moved(turn, there - turn @ here) for turn in turns])


def _file(folder: Path, pseudonym: str) -> Path:
    if not PSEUDONYM.fullmatch(pseudonym):
        raise EngineError(f"pseudonym {pseudonym!r}; wanted up to 64 letters, digits, '_' and '-'")
    return folder / f"{pseudonym}.npz"


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z

"""The same subject again: planes that were stored with a scout, laid upon a new one by where the head has gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engines.positioning.rigid import STILL, Moved, Points, aligned, points_of, searched
from engines.positioning.scout import Scout
from protocols.stack import Stack

__all__ = ["Exam", "Plane", "Prior", "again", "between", "carried"]

# Correlation below which it is no such body, or the search went astray. It does not tell heads apart, as resemblance.py
# does: 31 pairs under one contrast agreed to 0.878 to 0.962, the same head from 0.992 down to 0.960 at an SNR of 5.
ALIKE: Final = 0.85
TURNS_DEG: Final = (-20.0, 0.0, 20.0)  # about each axis: where the search begins, besides where the head was


class Plane(BaseModel):
    """A stack as a console set it, and what landmarks of the same scout had asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stack: Stack
    asked: Stack
    time_s: Annotated[float, Field(ge=0, le=1e11, description="Unix time of the console's answer")]


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """What is kept of an earlier exam: what the scout showed, and where slices lay on it."""

    seen: Points
    level: NDArray[np.float32]  # (n,) the same without the coils' shading
    planes: Mapping[str, Plane]  # by plan


@dataclass(frozen=True, slots=True, eq=False)
class Exam:
    """A scout on which planes may be set yet."""

    scout: Scout
    asked: Mapping[str, Stack]  # by plan: where landmarks would have slices
    planes: Mapping[str, Plane]  # by plan: those that a console has set, here or before, as they lie on this scout


def again(prior: Prior, scout: Scout, start: Moved | None = None) -> Moved | None:
    """Where the head of an earlier exam lies in a new scout; None where no place is found that looks like it.

    From a first guess within 20 mm and 20 degrees. Without one first from where it was, then with its middle upon that
    of the new one, turned by 20 degrees about every axis either way: heads that lie up to 30 degrees and 40 mm apart
    are found.
    """
    found = aligned(prior.seen, scout, start or STILL)
    if start is None and found.likeness < ALIKE:
        found = aligned(prior.seen, scout, _beginning(prior.seen, scout))
    return found if found.likeness >= ALIKE else None


def between(then: Stack, now: Stack) -> Moved:
    """The turn and the shift that take one stack to another: a guess of how the head has moved from planes of it."""
    turn = now.axes() @ then.axes().T
    return Moved(turn, np.array(now.centre_mm) - turn @ np.array(then.centre_mm))


def carried(stack: Stack, moved: Moved) -> Stack:
    """A stack that has gone where the head has gone."""
    read, phase, slice_ = (_vector(moved.turn @ direction) for direction in stack.axes().T)
    centre = _vector(moved.to_now(np.array(stack.centre_mm)))
    places = {"centre_mm": centre, "read_dir": read, "phase_dir": phase, "slice_dir": slice_}
    return stack.model_copy(update=places)


def _beginning(then: Points, scout: Scout) -> Moved:
    """The best of 27 turns with both middles in one place."""
    from scipy.spatial.transform import (
        Rotation,  # a tenth of a second, which the start of the plugin should not wait for
    )

    here, there = then.places_mm.mean(axis=0), points_of(scout).places_mm.mean(axis=0)
    turns = [Rotation.from_rotvec(angles, degrees=True).as_matrix() for angles in product(TURNS_DEG, repeat=3)]
    return searched(then, scout, [Moved(turn, there - turn @ here) for turn in turns])


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z

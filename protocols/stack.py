"""A stack of parallel slices: where they are to be measured, or were, in LPS mm from the isocentre."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from protocols.errors import PeerError
from protocols.geometry import Handedness, handedness

__all__ = ["Apart", "Reach", "Stack", "apart", "centres_mm", "plane_names", "wrong_with"]

Vector: TypeAlias = tuple[float, float, float]


class Stack(BaseModel):
    """Parallel slices, evenly spaced; read, phase and slice direction are right-handed unit vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    centre_mm: Annotated[Vector, Field(description="middle of the stack")]
    read_dir: Vector
    phase_dir: Vector
    slice_dir: Annotated[Vector, Field(description="in which slices are counted")]
    field_of_view_mm: Annotated[tuple[float, float], Field(description="along read, phase")]
    thickness_mm: float
    gap_mm: Annotated[float, Field(description="between neighbouring slices")] = 0.0
    slices: Annotated[int, Field(description="how many")] = 1

    @property
    def step_mm(self) -> float:
        """Distance of the middles of neighbouring slices."""
        return self.thickness_mm + self.gap_mm

    def axes(self) -> NDArray[np.float64]:
        """(3, 3) with read, phase and slice direction as columns."""
        return np.array((self.read_dir, self.phase_dir, self.slice_dir)).T


@dataclass(frozen=True, slots=True)
class Reach:
    """What a scanner can measure."""

    field_of_view_mm: tuple[float, float] = (20.0, 500.0)  # least, most; the least by gradient and bandwidth
    off_centre_mm: float = 250.0  # of the middle of any slice
    thickness_mm: tuple[float, float] = (0.5, 200.0)
    slices: int = 512


@dataclass(frozen=True, slots=True)
class Apart:
    """How much two stacks differ."""

    centre_mm: float
    turn_deg: float  # of the rotation that takes one's directions to the other's
    extent_mm: float  # worst of both fields of view, thickness and gap
    slices: int

    def __str__(self) -> str:
        more = f", {self.slices} slices" if self.slices else ""
        return f"{self.centre_mm:.1f} mm, {self.turn_deg:.1f} deg, {self.extent_mm:.1f} mm of extent{more}"

    def beyond(self, mm: float, deg: float) -> bool:
        """Whether it is more than this; NaN is, and so is another number of slices."""
        return not (self.centre_mm <= mm and self.extent_mm <= mm and self.turn_deg <= deg and self.slices == 0)


def apart(one: Stack, other: Stack) -> Apart:
    """Compare two stacks whose directions are orthonormal."""
    turn = one.axes().T @ other.axes()
    # The angle by its sine and cosine: the cosine alone tells nothing below a hundredth of a degree.
    sine = np.linalg.norm((turn - turn.T)[np.tril_indices(3, -1)]) / 2
    extents = np.array([(*stack.field_of_view_mm, stack.thickness_mm, stack.gap_mm) for stack in (one, other)])
    return Apart(
        float(np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm))),
        float(np.rad2deg(np.arctan2(sine, (np.trace(turn) - 1) / 2))),
        float(np.abs(extents[0] - extents[1]).max()),
        abs(one.slices - other.slices),
    )


def centres_mm(stack: Stack) -> NDArray[np.float64]:
    """Middles (slice, 3) of all slices, in the order in which they are counted."""
    steps_mm = (np.arange(stack.slices) - (stack.slices - 1) / 2) * stack.step_mm
    return np.array(stack.centre_mm) + steps_mm[:, None] * np.array(stack.slice_dir)


def wrong_with(stack: Stack, reach: Reach | None = None) -> tuple[str, ...]:
    """Everything for which a stack cannot be measured, a sentence each; () where it can."""
    reach = reach or Reach()
    numbers = (stack.centre_mm, stack.field_of_view_mm, (stack.thickness_mm, stack.gap_mm))
    if not all(np.isfinite(values).all() for values in numbers):
        return ("centre, field of view, thickness or gap is not a finite number",)
    told = [*_wrong_directions(stack)]
    low, high = reach.field_of_view_mm
    for name, mm in zip(("read", "phase"), stack.field_of_view_mm, strict=True):
        if not low <= mm <= high:
            told.append(f"field of view along {name} {mm:.1f} mm; the gradients allow {low:.1f} to {high:.1f} mm")
    if not reach.thickness_mm[0] <= stack.thickness_mm <= reach.thickness_mm[1]:
        told.append(f"thickness {stack.thickness_mm:g} mm; {reach.thickness_mm[0]:g} to {reach.thickness_mm[1]:g} fit")
    if stack.gap_mm <= -stack.thickness_mm or not 1 <= stack.slices <= reach.slices:
        return *told, f"{stack.slices} slices with gaps of {stack.gap_mm:g} mm; 1 to {reach.slices} apart were wanted"
    away_mm = float(np.linalg.norm(centres_mm(stack), axis=1).max())
    if away_mm > reach.off_centre_mm:
        told.append(f"a slice lies {away_mm:.0f} mm from the isocentre; at most {reach.off_centre_mm:.0f} mm can be")
    return tuple(told)


def _wrong_directions(stack: Stack) -> tuple[str, ...]:
    try:
        hand = handedness(*stack.axes().T)
    except PeerError as error:
        return (str(error),)
    return () if hand is Handedness.RIGHT else (f"read, phase and slice direction are {hand.value}, not right-handed",)


def plane_names(stack: Stack) -> str:
    """The plane as consoles say it: 'T > C 12.0 > S -3.1', the nearest standard plane and two angles in degrees.

    T, C and S are transversal, coronal and sagittal. The first angle turns the normal of the first plane towards that
    of the second, the second what then is left towards the third.
    """
    normal = np.array(stack.slice_dir)
    order = np.argsort(-np.abs(normal), kind="stable")
    normal = normal * (np.sign(normal[order[0]]) or 1.0)
    first = float(np.rad2deg(np.arctan2(normal[order[1]], normal[order[0]])))
    second = float(np.rad2deg(np.arcsin(np.clip(normal[order[2]], -1, 1))))
    name = ["SCT"[axis] for axis in order]
    told = name[0]
    if abs(first) >= 0.05 or abs(second) >= 0.05:
        told += f" > {name[1]} {first:.1f}"
    return told + (f" > {name[2]} {second:.1f}" if abs(second) >= 0.05 else "")

"""Devices as values of time: ask what they are at a moment, and looking never moves them."""

from dataclasses import dataclass, replace
from math import copysign
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

__all__ = ["AT_REST", "HOME", "STILL", "Motion", "Pose", "Table", "carried"]

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Table:
    """Patient table, moving at constant speed towards its target."""

    position_mm: float
    target_mm: float
    speed_mm_per_s: float = 20.0
    time_ns: int = 0

    def at(self, time_ns: int) -> "Table":
        """Return the same table later."""
        gap_mm = self.target_mm - self.position_mm
        reach_mm = self.speed_mm_per_s * (time_ns - self.time_ns) * 1e-9
        step_mm = copysign(min(reach_mm, abs(gap_mm)), gap_mm)
        return replace(self, position_mm=self.position_mm + step_mm, time_ns=time_ns)


HOME: Final = Table(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the patient is: turned by a rotation vector about the isocentre, then shifted; LPS.

    `table_mm` is how far a table that slipped has carried the patient and the coils towards the head.
    """

    shift_mm: Vector = (0.0, 0.0, 0.0)
    turn_deg: Vector = (0.0, 0.0, 0.0)
    table_mm: float = 0.0

    def to_patient(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take points (..., 3) from the frame of the table to that of the patient at rest."""
        if self == AT_REST:
            return points_mm
        return (points_mm - np.array(self.shift_mm)) @ self._turn().as_matrix()

    def from_patient(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take points (..., 3) from the frame of the patient at rest to that of the table."""
        return points_mm @ self._turn().as_matrix().T + np.array(self.shift_mm)

    def then(self, by: "Pose") -> "Pose":
        """Where the patient is after another movement from here."""
        if self == AT_REST:
            return by
        turn = by._turn() * self._turn()
        shift_mm = by._turn().apply(self.shift_mm) + np.array(by.shift_mm)
        return Pose(_vector(shift_mm), _vector(turn.as_rotvec(degrees=True)), self.table_mm + by.table_mm)

    def _turn(self) -> Rotation:
        return Rotation.from_rotvec(self.turn_deg, degrees=True)


AT_REST: Final = Pose()


def carried(pose: Pose, table_mm: float, position: str) -> Pose:
    """The pose on a table that stands so far in the bore: who lies feet first goes in with his feet."""
    towards_head = 1.0 if position.startswith("H") else -1.0
    return replace(pose, table_mm=pose.table_mm + towards_head * table_mm)


@dataclass(frozen=True, slots=True)
class Motion:
    """A rigid motion of the patient: at rest, then from one pose to another at a constant rate, then at rest."""

    start: Pose = AT_REST
    end: Pose = AT_REST
    begins_ns: int = 0
    lasts_ns: int = 0

    def at(self, time_ns: int) -> Pose:
        """Pose at a moment."""
        if time_ns < self.begins_ns:
            return self.start
        if time_ns >= self.begins_ns + self.lasts_ns:
            return self.end
        done = (time_ns - self.begins_ns) / self.lasts_ns
        return Pose(
            _between(self.start.shift_mm, self.end.shift_mm, done),
            _between(self.start.turn_deg, self.end.turn_deg, done),
        )


STILL: Final = Motion()


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _between(a: Vector, b: Vector, done: float) -> Vector:
    x, y, z = (float(p + done * (q - p)) for p, q in zip(a, b, strict=True))
    return x, y, z

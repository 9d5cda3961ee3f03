"""How far what is found and prescribed lies from the truth, of one scout."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from engines.positioning.axes import Implausible, axis
from engines.positioning.place import place
from engines.positioning.prescribe import prescribe
from engines.positioning.surfaces import outermost
from protocols.anatomy import Anatomy, find_anatomy
from protocols.events import Prescription
from protocols.landmarks import Landmarks
from protocols.stack import Stack, apart
from trt_build.landmarks.drawn import HeadPose
from trt_build.landmarks.heads import EXTENT, NAMES, TRUTH, Subject
from trt_build.landmarks.mean import reference_turn

__all__ = ["FRAME", "MAIN", "Judged", "PlaneError", "Truth", "judged", "planes_of", "straightened", "truth_of"]

MAIN: Final = "brain_axial"  # the plan whose status says whether a scout was accepted
FRAME: Final = ("left", "anterior", "superior")
AIR: Final = 0.1  # T1 below which it is air, white matter 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Where everything lies in the scanner, LPS mm."""

    points: Mapping[str, NDArray[np.float64]]
    surfaces: Mapping[str, NDArray[np.float64]]
    frame: NDArray[np.float64] | None = None  # (3, 3) rows of FRAME by the reference pose; None: by its own points


@dataclass(frozen=True, slots=True)
class PlaneError:
    """How far a stack lies from where it should, and half-widths of the 90 % region that came with it."""

    mm: float  # of its middle, along the true slice direction
    deg: float  # of the turn between its directions and the true ones
    region90_mm: float
    region90_deg: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What is true of one scout's prescriptions."""

    case: str
    subject: str
    snr: float
    status: Mapping[str, str]  # plan -> OK, REVIEW, REFUSED
    reasons: tuple[str, ...]  # of MAIN
    mm: float | None = None  # of the middle between AC and PC
    deg: float | None = None  # between the frame of the anatomy's axes and that of the reference pose
    about_deg: tuple[float, float, float] | None = None  # the same turn about FRAME, its rotation vector
    own_deg: float | None = None  # between the frames of the anatomy's axes, of found and of registered landmarks
    stack_mm: float | None = None  # of the middle of MAIN's stack along its normal
    stack_deg: float | None = None  # between true normal and MAIN's
    off_mm: Mapping[str, float] | None = None  # landmark -> distance
    inside90: Mapping[str, bool] | None = None  # landmark -> whether its 90 % region holds it
    ms: float = 0.0
    planes: Mapping[str, PlaneError] | None = None  # plan -> of those that were prescribed
    number: int = 0  # of the scout among those of its case

    def stopped(self) -> bool:
        """Whether no plan at all went out without a second look."""
        return "OK" not in self.status.values()

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def truth_of(subject: Subject, lies: HeadPose) -> Truth:
    """The truth of a head that lies so and is not bent."""
    linear, offset = lies.to_template()
    back = np.linalg.inv(linear)

    def there(file_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        return (subject.pose.to_template(file_mm) - offset) @ back.T

    places = there(subject.places_mm)
    points = {name: place for name, place in zip(NAMES, places, strict=True) if name not in EXTENT}
    surfaces = {name: there(hull) for name, hull in _hulls(subject).items()}
    known = {name: place for name, place in points.items() if np.isfinite(place).all()}
    turn = lies.turn @ subject.pose.turn.T @ reference_turn(subject)
    return Truth(known, surfaces, reference_frame() @ turn.T)


@lru_cache(maxsize=1)
def reference_frame() -> NDArray[np.float64]:
    """Rows (3, 3) of FRAME in the reference pose: as the registered landmarks have them on average over all heads."""
    known = json.loads(TRUTH.read_text())
    anatomy = find_anatomy("head")
    frames = []
    for name, places in known["places"].items():
        points = {mark: np.array(place) for mark, place in places.items()}
        frames.append(np.array([axis(along, anatomy, points) for along in FRAME]) @ np.array(known["turns"][name]))
    across = np.diag((-1.0, 1.0, 1.0))
    mean = np.mean(frames, axis=0)
    left, _, right = np.linalg.svd(mean + across @ mean @ across)
    return left @ right


@lru_cache(maxsize=64)
def _hulls(subject: Subject) -> dict[str, NDArray[np.float64]]:
    masks = {"brain": subject.brain > 0.5, "head": subject.t1 > AIR}
    return {
        name: outermost(np.argwhere(mask) @ subject.affine[:3, :3].T + subject.affine[:3, 3], 1000)
        for name, mask in masks.items()
    }


def judged(  # noqa: PLR0913, PLR0917 - what was given, and what came of it
    case: str, subject: str, snr: float, anatomy: Anatomy, found: Landmarks, truth: Truth | None, ms: float = 0.0
) -> Judged:
    """Prescribe all plans of landmarks, and compare with the truth, where there is one."""
    made = {plan: prescribe(anatomy, plan, found, found.time_s) for plan in anatomy.plans}
    status = {plan: prescription.status for plan, prescription in made.items()}
    reasons = made[MAIN].reasons
    if truth is None:
        return Judged(case, subject, snr, status, reasons, ms=ms)
    points = {name: np.array(place) for name, place in found.landmarks.items()}
    both = [name for name in points if name in truth.points]
    off_mm = {name: float(np.linalg.norm(points[name] - truth.points[name])) for name in both}
    inside90 = {name: off_mm[name] <= found.region90_mm[name] for name in both if name in found.region90_mm}
    mm = deg = about_deg = own_deg = stack_mm = stack_deg = None
    stack = made[MAIN].stack
    if {"ac", "pc"} <= set(both):
        mm = float(np.linalg.norm(_middle(points) - _middle(truth.points)))
    if all(name in points for name in anatomy.made_of(MAIN)):
        own_deg, about_deg = _apart(anatomy, points, truth.points)
        deg, about_deg = (own_deg, about_deg) if truth.frame is None else _apart(anatomy, points, truth.frame)
    if stack is not None:
        stack_mm, stack_deg = _stacks(stack, place(anatomy, MAIN, truth.points, truth.surfaces))
    errors = (mm, deg, about_deg, own_deg, stack_mm, stack_deg)
    planes = planes_of(anatomy, made, truth)
    return Judged(case, subject, snr, status, reasons, *errors, off_mm, inside90, ms, planes)


def planes_of(anatomy: Anatomy, made: Mapping[str, Prescription], truth: Truth) -> dict[str, PlaneError]:
    """Errors and regions of all stacks that were prescribed with a region and whose landmarks are known.

    True stacks have the midline and the line AC-PC of the reference pose, as the degrees of a scout are judged, and all
    else of the subject's own registered landmarks; their middle along the slice direction is of its own surfaces.
    """
    points = straightened(anatomy, truth)
    found = {}
    for plan, prescription in made.items():
        stack, mm, deg = prescription.stack, prescription.region90_mm, prescription.region90_deg
        known = all(name in points for name in anatomy.made_of(plan))
        if stack is not None and mm is not None and deg is not None and known:
            true = place(anatomy, plan, points, truth.surfaces)
            along_mm, _ = _stacks(stack, true)
            found[plan] = PlaneError(along_mm, apart(stack, true).turn_deg, mm, deg)
    return found


def straightened(anatomy: Anatomy, truth: Truth) -> Mapping[str, NDArray[np.float64]]:
    """True points whose midline and line AC-PC lie as the reference pose has them, each moved the least."""
    if truth.frame is None:
        return truth.points
    left, anterior, _ = truth.frame
    made = dict(truth.points)
    flat = [name for name in anatomy.axes["left"].normal_of or () if name in made]
    level = np.mean([made[name] @ left for name in flat])
    made |= {name: made[name] + (level - made[name] @ left) * left for name in flat}
    line = [name for ends in anatomy.axes["anterior"].along or () for name in ends if name in made]
    middle = np.mean([made[name] for name in line], axis=0)
    return made | {name: middle + ((made[name] - middle) @ anterior) * anterior for name in line}


def _middle(points: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return (points["ac"] + points["pc"]) / 2


def _apart(
    anatomy: Anatomy,
    found: Mapping[str, NDArray[np.float64]],
    true: Mapping[str, NDArray[np.float64]] | NDArray[np.float64],
) -> tuple[float | None, tuple[float, float, float] | None]:
    """Angle and rotation vector, degrees, of the turn between two frames, of landmarks or as it is."""
    try:
        one, other = (
            points if isinstance(points, np.ndarray) else np.array([axis(name, anatomy, points) for name in FRAME])
            for points in (found, true)
        )
    except Implausible:
        return None, None
    about = other @ Rotation.from_matrix(one.T @ other).as_rotvec(degrees=True)
    left, anterior, superior = (float(part) for part in about)
    return float(np.linalg.norm(about)), (left, anterior, superior)


def _stacks(found: Stack, true: Stack) -> tuple[float, float]:
    normal, wanted = np.array(found.slice_dir), np.array(true.slice_dir)
    along = abs(float(np.subtract(found.centre_mm, true.centre_mm) @ wanted))
    return along, float(np.rad2deg(np.arccos(np.clip(normal @ wanted, -1, 1))))

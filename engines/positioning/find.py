"""From a scout to landmarks: one small network for the pose, one for the places, and what speaks against them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.halves import each, together
from engines.positioning.grid import NEAR_MIDDLE_MM, Sheet, far, near, quiet
from engines.positioning.laid import Laid, laid_from
from engines.positioning.pose import Pose, fitted
from engines.positioning.scout import Scout, bare
from engines.positioning.settle import agreed, aimed, kind_of, settled
from engines.positioning.shape import likeliest
from engines.positioning.surfaces import Outline, beyond, hull_of
from engines.positioning.template import Template
from protocols.landmarks import Landmarks

__all__ = ["Answer", "Seen", "find", "look", "rehearse", "told"]

Infer = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]
GLANCE: Final = ((0.0, 0.0, 0.0),)
# Millimetres and degrees along and about L, P, S by which the last views are beside the pose.
LOOKS: Final = (*GLANCE, (2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 2.0))
SLACK_MM: Final = 2.0  # by which bodies differ from the template
ALONE: Final = "the networks see the landmarks; they alone tell of them"
ABSENT_MM: Final = 1e5  # standard deviation of what is not there
FEWEST: Final = 6  # landmarks that a pose needs
ODD_MM: Final = 9.0  # root mean square by which landmarks may lie off the template
SIZES: Final = (0.65, 1.3)  # of a body by the template
TRIED: Final = (1.0, 0.94)  # of the networks' size: from one too large the brain's rim is drawn to bright skin
BALL90: Final = 1.4435  # radius of a ball that holds 90 % of a normal distribution, by its root mean square


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network says of one view."""

    places_mm: NDArray[np.float64]  # (name, 3) about the middle of the view, of the second network LPS mm
    off_mm: NDArray[np.float64]  # (name,) how far they are likely to lie off
    present: NDArray[np.float64]  # (name,) probability
    plausible: float  # probability


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What both networks make of a scout, before anybody asks whether it is to be believed."""

    sheet: Sheet
    far: Answer
    near: Answer
    pose: Pose  # of the template
    places_mm: NDArray[np.float64]  # (name, 3) LPS mm
    covariance: NDArray[np.float64]  # (3 name, 3 name) of their errors, mm^2
    off_mm: NDArray[np.float64]  # (name,) root of its trace
    present: NDArray[np.float64]  # (name,) probability
    networks_mm: NDArray[np.float64]  # (name, 3) what the networks alone say, LPS mm
    lies: Laid | None  # the mean head upon the scout; None where it agrees with nothing
    aims: Pose | None  # the same as directions are taken from
    outline: Outline

    @property
    def plausible(self) -> float:
        """Probability of such a body, by the less convinced of both."""
        return min(self.far.plausible, self.near.plausible)


def find(
    scout: Scout, template: Template, far_infer: Infer, near_infer: Infer, helpers: Executor | None = None
) -> Landmarks:
    """Find landmarks and surfaces in a scout; what is not seen is missing, `refused` says why nothing is to be used.

    One of `helpers` helps, if one is free. Raises EngineError where a network's answer cannot be read.
    """
    known = _known(scout, template)
    if scout.pixels.ndim != 3 or not np.nanmax(np.abs(scout.pixels), initial=0.0) > 0:
        return Landmarks(**known, landmarks={}, refused=("no_signal: the scout is empty",))
    seen = look(scout, template, far_infer, near_infer, helpers)
    if seen is None:
        why = f"landmark_missing: too few landmarks of a {template.anatomy} are seen for any pose"
        return Landmarks(**known, landmarks={}, refused=(why,))
    return told(scout, seen, template)


def rehearse(template: Template, far_infer: Infer, near_infer: Infer) -> None:
    """Look at the mean head: imports, native code and whatever else the first scout would wait for half a second."""
    find(bare(template.mean.values, template.mean.affine), template, far_infer, near_infer)


def _known(scout: Scout, template: Template) -> dict[str, Any]:
    return {
        "anatomy": template.anatomy,
        "patient_position": scout.patient_position,
        "table_position_mm": scout.table_position_mm,
        "measurement_id": scout.measurement_id,
        "time_s": scout.time_s,
    }


def told(scout: Scout, seen: Seen, template: Template) -> Landmarks:
    """Landmarks and surfaces of what was seen in a scout, how sure they are, and what speaks against them."""
    outline = seen.outline
    posed = seen.pose if seen.lies is None else seen.lies.posed
    brain = {name: hull_of(template, name, posed, seen.places_mm) for name in template.ends}
    cut = [name for name, points in brain.items() if beyond(seen.sheet, points)]
    surfaces = {**brain, "head": outline.points_mm()}
    there = [n for n in template.landmarks() if seen.present[n] >= template.present]
    names = template.names
    return Landmarks(
        **_known(scout, template),
        snr=outline.level / outline.noise if outline.noise else None,
        cut=(*cut, *(["head"] if outline.cut() else [])),
        landmarks={names[n]: _vector(seen.places_mm[n]) for n in there},
        region90_mm={names[n]: float(template.factors[n] * seen.off_mm[n]) for n in there},
        covariance_mm2=_covariance(seen, template, there),
        plan_factors={} if seen.lies is None else template.planes.get(kind_of(seen.lies), {}),
        surfaces={name: tuple(map(_vector, points)) for name, points in surfaces.items()},
        doubts=() if seen.lies is not None else (f"unregistered: no mean {template.anatomy} lies where {ALONE}",),
        refused=tuple(_against(seen, template)),
    )


def look(
    scout: Scout, template: Template, far_infer: Infer, near_infer: Infer, helpers: Executor | None = None
) -> Seen | None:
    """Ask both networks; None where so few landmarks are seen that there is no pose."""
    sheet, count = Sheet(scout), len(template.names)
    shown = _shown(scout, sheet, helpers)
    first = max(_answers(far_infer({"seen": shown}), count), key=lambda made: float(made.present.sum()))
    places_mm, off_mm = first.places_mm + sheet.middle_mm, first.off_mm
    if (first.present >= 0.5).sum() < FEWEST:
        return None
    pose = _posed(template, places_mm, off_mm, first.present)
    for views in (GLANCE, GLANCE, LOOKS):
        poses = [_beside(pose, np.array(view)) for view in views]
        second = _looked(sheet, poses, template, near_infer, helpers)
        # Ends of the brain lie outside the near view: they stay as they were first seen.
        better = second.present >= 0.5
        places_mm = np.where(better[:, None], second.places_mm, first.places_mm + sheet.middle_mm)
        off_mm = np.where(better, second.off_mm, first.off_mm)
        if better.sum() < FEWEST:
            break
        pose = _posed(template, places_mm, off_mm, np.where(better, second.present, 0.0))
    shape_mm, covariance = likeliest(
        template.places_mm,
        template.modes_mm,
        template.rest_mm,
        pose.to_template(places_mm),
        np.where(better | (first.present >= 0.5), off_mm / pose.scale, ABSENT_MM),
    )
    turned = np.kron(np.eye(count), pose.scale * pose.turn)
    covariance = turned @ covariance @ turned.T
    networks_mm = places_mm = pose.to_scanner(shape_mm - template.taught_mm)
    ends = [n for numbers in template.ends.values() for n in numbers]
    present = second.present.copy()
    present[ends] = first.present[ends]
    lies = _lies(sheet, template, pose)
    aims, outline = together(
        lambda: None if lies is None else aimed(template, sheet, lies, helpers),
        lambda: Outline(sheet, pose, template, scout.noise, lies),
        helpers,
    )
    if lies is not None and aims is not None:
        places_mm, covariance = settled(template, lies, aims, networks_mm, present)
    off_mm = np.sqrt(np.maximum(np.diag(covariance).reshape(-1, 3).sum(1), 0.0))
    return Seen(sheet, first, second, pose, places_mm, covariance, off_mm, present, networks_mm, lies, aims, outline)


def _lies(sheet: Sheet, template: Template, pose: Pose) -> Laid | None:
    """The mean head upon a scout, where it comes to lie as the networks have it."""
    middle = template.places_mm[list(template.landmarks())].mean(axis=0)
    sizes = [size * pose.scale for size in TRIED]
    poses = [Pose(pose.turn, size, pose.to_scanner(middle) - size * pose.turn @ middle) for size in sizes]
    return laid_from(sheet, template.mean, poses, lambda lies: agreed(template, lies, pose))


def _shown(scout: Scout, sheet: Sheet, helpers: Executor | None) -> NDArray[np.float32]:
    """The whole scout with the coils' shading, without, and without noise."""
    ways: Sequence[Callable[[], NDArray[np.float32]]] = (
        lambda: far(sheet),
        lambda: far(sheet, level=True),
        lambda: far(Sheet(quiet(scout)), level=True),
    )
    return np.concatenate(each(lambda way: way(), ways, helpers))


def _looked(sheet: Sheet, poses: Sequence[Pose], template: Template, infer: Infer, helpers: Executor | None) -> Answer:
    """What is near, of views from several poses and of their mirror images; places in the scanner."""
    seen = np.concatenate(each(partial(near, sheet, level=True), poses, helpers))
    seen = np.concatenate([seen, seen[..., ::-1]])
    answers = _answers(infer({"seen": np.ascontiguousarray(seen)}), len(template.names))
    swapped = template.mirrored()
    places, offs, presents = [], [], []
    for number, made in enumerate(answers):
        beside, turned = poses[number % len(poses)], number >= len(poses)
        at = (made.places_mm * (-1, 1, 1))[swapped] if turned else made.places_mm
        places.append(beside.to_scanner(at + NEAR_MIDDLE_MM))
        offs.append((made.off_mm[swapped] if turned else made.off_mm) * beside.scale)
        presents.append(made.present[swapped] if turned else made.present)
    trust = 1 / np.array(offs)[..., None] ** 2
    mean = (trust * places).sum(0) / trust.sum(0)
    apart = np.sqrt(((np.array(places) - mean) ** 2).sum(2).mean(0))
    off_mm = np.sqrt(np.mean(offs, axis=0) ** 2 + apart**2)
    return Answer(mean, off_mm, np.mean(presents, axis=0), float(np.mean([made.plausible for made in answers])))


def _beside(pose: Pose, by: NDArray[np.float64]) -> Pose:
    """A pose shifted by mm of the template and turned about the same axis by as many degrees."""
    x, y, z = np.deg2rad(by)
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    turn = np.eye(3) + cross + cross @ cross / 2
    left, _, right = np.linalg.svd(turn)
    return Pose(pose.turn @ left @ right, pose.scale, pose.shift_mm + pose.turn @ by)


def _posed(
    template: Template, places_mm: NDArray[np.float64], off_mm: NDArray[np.float64], present: NDArray[np.float64]
) -> Pose:
    return fitted(template.places_mm, places_mm, np.where(present >= 0.5, off_mm, ABSENT_MM), SLACK_MM)


def _covariance(seen: Seen, template: Template, there: list[int]) -> tuple[tuple[float, ...], ...]:
    """That of some landmarks, stretched so that each has its 90 % region."""
    stretch = np.repeat(template.factors[there] / BALL90, 3)
    rows = np.array([3 * n + axis for n in there for axis in range(3)], np.intp)
    made = stretch[:, None] * seen.covariance[np.ix_(rows, rows)] * stretch
    return tuple(tuple(float(value) for value in row) for row in np.round(made, 4))


def _against(seen: Seen, template: Template) -> Iterator[str]:
    """Why nothing of it is to be used, one sentence each."""
    anatomy = template.anatomy
    if seen.plausible < template.plausible:
        yield (
            f"wrong_anatomy: the scout shows no whole {anatomy} without doubt "
            f"({100 * seen.plausible:.0f} %, {100 * template.plausible:.0f} % are wanted)"
        )
    low, high = SIZES
    if not low <= seen.pose.scale <= high:
        yield f"implausible: a {anatomy} {seen.pose.scale:.2f} times the usual size; {low:g} to {high:g} were wanted"
    there = seen.near.present >= 0.5
    off_mm = np.linalg.norm(seen.pose.to_scanner(template.places_mm) - seen.near.places_mm, axis=1)[there]
    rms_mm = float(np.sqrt((off_mm**2).mean())) if off_mm.size else float("inf")
    if not rms_mm <= ODD_MM:
        yield f"implausible: landmarks lie {rms_mm:.0f} mm off those of any {anatomy}; {ODD_MM:g} mm are allowed"


def _answers(made: Mapping[str, NDArray[Any]], names: int) -> list[Answer]:
    """What a network says, one view at a time; raises EngineError where it cannot be read."""
    frames = len(made["place"])
    wanted = {"place": (frames, names, 3), "off": (frames, names), "present": (frames, names), "plausible": (frames, 1)}
    for port, shape in wanted.items():
        if made[port].shape != shape:
            raise EngineError(f"output {port!r}: got {made[port].shape}, wanted {shape}; export the model again")
        if not np.isfinite(made[port]).all():
            raise EngineError(f"output {port!r} is not finite")
    parts = (made[port].astype(np.float64) for port in ("place", "off", "present", "plausible"))
    return [
        Answer(place, off, present, float(plausible[0])) for place, off, present, plausible in zip(*parts, strict=True)
    ]


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z

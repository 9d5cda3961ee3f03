"""The prescription of a plan: where the slices lie and how sure that is, or why nothing is prescribed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.positioning.axes import Implausible, Points, fitted_plane
from engines.positioning.place import Surfaces, place, spread
from protocols.anatomy import Anatomy
from protocols.events import Prescription
from protocols.landmarks import Landmarks
from protocols.problems import nearest
from protocols.stack import Reach, Stack, wrong_with

__all__ = ["FEWEST", "prescribe"]

FEWEST = 20  # points of a surface: fewer tell too little of how far it reaches


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A plan and what was found for it; what is not finite, or too few points, was not found."""

    anatomy: Anatomy
    plan: str
    found: Landmarks
    points: Points
    surfaces: Surfaces

    @classmethod
    def of(cls, anatomy: Anatomy, plan: str, found: Landmarks) -> "_Case":
        points = {name: np.array(xyz) for name, xyz in found.landmarks.items() if np.isfinite(xyz).all()}
        surfaces = {name: np.array(xyz) for name, xyz in found.surfaces.items() if len(xyz) >= FEWEST}
        finite = {name: xyz for name, xyz in surfaces.items() if np.isfinite(xyz).all()}
        return cls(anatomy, plan, found, points, finite)


def prescribe(
    anatomy: Anatomy, plan: str, found: Landmarks, now_s: float, reach: Reach | None = None, scout: str = ""
) -> Prescription:
    """Prescribe a plan of an anatomy from landmarks of a scout; `scout` is its measurement id, if known.

    REFUSED without any place: a landmark or surface is missing, the anatomy is another one, its distances are none of
    such a body, the scout is stale, or a scanner of this reach cannot measure it. REVIEW: landmarks come with doubts,
    the scout's SNR is low, it cuts what is to be covered or contained, or the 90 % region is too wide.
    """
    case = _Case.of(anatomy, plan, found)
    region: tuple[float, float] | None = None
    stack, why = _stack(case, now_s, reach, scout)
    if stack is not None:
        region = _region(case)
        why = [*_doubts(case, region)]
    return Prescription(
        id=_id(case, now_s),
        time_s=now_s,
        status="REFUSED" if stack is None else "REVIEW" if why else "OK",
        reasons=tuple(why),
        anatomy=anatomy.name,
        plan=plan,
        stack=stack,
        patient_position=found.patient_position,
        table_position_mm=found.table_position_mm,
        scout_measurement_id=found.measurement_id,
        region90_mm=None if region is None else region[0],
        region90_deg=None if region is None else region[1],
        expires_s=found.time_s + anatomy.limits.scout_age_s,
    )


def _region(case: _Case) -> tuple[float, float] | None:
    """Half-widths of the 90 % region, mm and degrees, with the factors that came with the landmarks."""
    told = case.found.plan_factors.get(case.plan, (1.0, 1.0))
    made = spread(case.anatomy, case.plan, case.points, case.surfaces, case.found.region90_mm, _covariance(case))
    return None if made is None else (made[0] * told[0], made[1] * told[1])


def _covariance(case: _Case) -> NDArray[np.float64] | None:
    """That of the landmarks, where one of that size was given and all of them are places."""
    given = np.array(case.found.covariance_mm2, np.float64)
    size = 3 * len(case.points)
    whole = given.shape == (size, size) and len(case.points) == len(case.found.landmarks)
    return given if whole and np.isfinite(given).all() else None


def _stack(case: _Case, now_s: float, reach: Reach | None, scout: str) -> tuple[Stack | None, list[str]]:
    """The stack, or everything for which there is none."""
    why = [*_useless(case, now_s, scout)] or [*_missing(case)]
    if why:
        return None, why
    try:
        why = [f"implausible: {text}" for text in _odd(case)]
        stack = place(case.anatomy, case.plan, case.points, case.surfaces)
    except Implausible as error:
        return None, [*why, f"implausible: {error}"]
    why += [f"out_of_reach: {text}" for text in wrong_with(stack, reach)]
    return (None, why) if why else (stack, why)


def _useless(case: _Case, now_s: float, scout: str) -> Iterator[str]:
    """What makes landmarks useless before one looks at them."""
    anatomy, found = case.anatomy, case.found
    yield from found.refused
    if found.anatomy != anatomy.name:
        yield f"wrong_anatomy: the landmarks are of '{found.anatomy}', the plan is for '{anatomy.name}'"
    elif case.plan not in anatomy.plans:
        yield f"unknown_plan: {anatomy.name} has no plan '{case.plan}'. {nearest(case.plan, anatomy.plans)}"
    if scout and found.measurement_id != scout:
        yield f"stale: the landmarks are of scout '{found.measurement_id}', the last one is '{scout}'"
    age_min, most_min = (now_s - found.time_s) / 60, anatomy.limits.scout_age_s / 60
    if not age_min <= most_min:
        yield f"stale: the scout is {age_min:.0f} min old, {most_min:.0f} min are allowed; take a new one"


def _missing(case: _Case) -> Iterator[str]:
    """Landmarks and surfaces that the plan is made of and that were not found, one sentence each."""
    anatomy = case.anatomy
    for name in anatomy.made_of(case.plan):
        if name not in case.points:
            yield f"landmark_missing: '{name}' ({anatomy.landmarks[name]}) was not found"
    wanted = anatomy.plans[case.plan]
    for name in dict.fromkeys((wanted.contain, *wanted.cover)):
        if name in anatomy.surfaces and name not in case.surfaces:
            yield f"surface_missing: '{name}' ({anatomy.surfaces[name]}) needs {FEWEST} points or more"


def _odd(case: _Case) -> Iterator[str]:
    """Distances that no such body has, of all landmarks that were found and not only of the plan's."""
    anatomy, points = case.anatomy, case.points
    for check in anatomy.checks:
        one, other = check.between
        if one in points and other in points:
            mm = float(np.linalg.norm(points[one] - points[other]))
            if not check.mm[0] <= mm <= check.mm[1]:
                yield f"{one} and {other} lie {mm:.0f} mm apart; {check.mm[0]:g} to {check.mm[1]:g} mm is usual"
    used = set(anatomy.made_of(case.plan))
    for rule in anatomy.axes.values():
        if rule.normal_of and used.issuperset(rule.normal_of):
            for name, mm in zip(rule.normal_of, fitted_plane(rule.normal_of, points)[1], strict=True):
                if mm > anatomy.limits.off_plane_mm:
                    yield f"{name} lies {mm:.1f} mm off the plane that {', '.join(rule.normal_of)} should share"


def _doubts(case: _Case, region: tuple[float, float] | None) -> Iterator[str]:
    """Why somebody should look before the prescription is used."""
    found, limits, wanted = case.found, case.anatomy.limits, case.anatomy.plans[case.plan]
    yield from found.doubts
    if found.snr is not None and not found.snr >= limits.snr:
        yield f"low_snr: the scout's SNR is {found.snr:.1f}, {limits.snr:g} is wanted"
    for name in found.cut:
        if name in (wanted.contain, *wanted.cover):
            yield f"coverage: the scout does not hold the whole {name}; it may reach beyond the slices"
    if region is not None and not (region[0] <= limits.region90_mm and region[1] <= limits.region90_deg):
        yield (
            f"uncertain: the 90 % region is ± {region[0]:.1f} mm and ± {region[1]:.1f} deg wide, "
            f"{limits.region90_mm:g} mm and {limits.region90_deg:g} deg are allowed"
        )


def _id(case: _Case, now_s: float) -> str:
    """The same for the same question at the same time, and else another one."""
    told = f"{case.anatomy.hash} {case.plan} {now_s} {case.found.model_dump_json()}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]

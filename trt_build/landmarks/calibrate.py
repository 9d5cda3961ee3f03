"""How far places found in scouts of the validation subjects lie off: what a template says of regions and of trust."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.find import Infer, Seen, look
from engines.positioning.laid import Laid
from engines.positioning.pose import Pose
from engines.positioning.settle import apart, kind_of, settled, straightened
from engines.positioning.template import Template
from trt_build.data.errors import DataError
from trt_build.landmarks.heads import NAMES, Subject, subjects
from trt_build.landmarks.judge import truth_of
from trt_build.landmarks.mean import reference_turn
from trt_build.landmarks.positions import CASES, scanned

__all__ = ["KINDS", "MAIN", "Met", "calibrated", "heed", "held", "meet"]

MAIN: Final = "3-D"
SCOUTS: Final = {MAIN: 240, "3-D, reconstructed": 60, "three planes": 120, "any contrast": 120}
HEED: Final = {MAIN: 2.0}  # how much all scouts of a case count in regions; those of others 1
KINDS: Final = ("alike", "unlike", "part")  # of scouts, each with regions of its own
STEEPEST: Final = 1.5  # power of how far both ways lie apart
SEED: Final = 77
LEAST_MM: Final = 0.3  # by which any place lies off
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """A scout of a head that was seen and laid upon, and where its landmarks are."""

    case: str
    lies: Laid
    aims: Pose
    networks_mm: Array  # (name, 3)
    present: Array  # (name,)
    true_mm: Array  # (name, 3), NaN where it is not known
    turn: Array  # (3, 3) from the template to the scanner, of the reference pose


def meet(
    infer: tuple[Infer, Infer], data: Path, template: Template, tell: Callable[[int], None] = lambda _: None
) -> list[Met]:
    """3-D scouts of the validation subjects in any pose, SNR as drawn; raises DataError where none shows a head."""
    heads = subjects(data, "validation")
    met = []
    jobs = [(case, number) for case, count in SCOUTS.items() for number in range(count)]
    for done, (case, number) in enumerate(jobs, 1):
        chance = np.random.default_rng([SEED, CASES.index(case), number])
        true_mm, turn, seen = _shown(case, heads[number % len(heads)], template, infer, chance)
        if (
            seen is not None
            and seen.lies is not None
            and seen.aims is not None
            and seen.plausible >= template.plausible
        ):
            met.append(Met(case, seen.lies, seen.aims, seen.networks_mm, seen.present, true_mm, turn))
        tell(done)
    if not any(one.case == MAIN for one in met):
        raise DataError(f"{data}: no validation scout shows the networks a head; train them longer")
    return met


def _shown(
    case: str, subject: Subject, template: Template, infer: tuple[Infer, Infer], chance: np.random.Generator
) -> tuple[Array, Array, Seen | None]:
    lies, scout, _ = scanned(case, subject, chance)
    assert lies is not None  # noqa: S101 - there is a head in all of SCOUTS
    points = truth_of(subject, lies).points
    true_mm = np.array([points.get(name, (np.nan,) * 3) for name in NAMES])
    turn = lies.turn @ subject.pose.turn.T @ reference_turn(subject)
    return true_mm, turn, look(scout, template, *infer)


def calibrated(met: Sequence[Met], template: Template) -> Template:
    """The template with trust by the variances of either way, errors of both together, and regions of 90 % (conformal).

    Trust and errors are of scouts of MAIN. Errors are against landmarks whose directions are those of the reference
    pose, regions against registered ones: each landmark has a factor, each kind of scout one more. Ends of a brain,
    which have no truth here, are left to registration, and their regions as they were.
    """
    marks = list(template.landmarks())
    main = [one for one in met if one.case == MAIN]
    ways = [
        _spread(np.array([_off(one, one.lies.to_scanner(template.laid_mm)) for one in main])),
        _spread(np.array([_off(one, one.networks_mm) for one in main])),
    ]
    trust = np.ones(len(template.names))
    trust[marks] = (ways[1] / (ways[0] + ways[1]))[marks]
    first = replace(template, trust=np.round(trust, 3), doubts={})
    places = [settled(first, one.lies, one.aims, one.networks_mm, one.present)[0] for one in main]
    straight = np.array([_off_straight(one, found, first) for one, found in zip(main, places, strict=True)])
    known = np.where(np.isfinite(straight), straight, 0.0).reshape(len(main), -1)
    count = np.isfinite(straight).reshape(len(main), -1).astype(float)
    errors = (known.T @ known) / np.maximum(count.T @ count, 1) + LEAST_MM**2 * np.eye(known.shape[1])
    return _regions(met, replace(first, errors_mm2=np.round(errors, 3)))


def _regions(met: Sequence[Met], template: Template) -> Template:
    """The template with factors of landmarks, by scouts in the contrast of the mean head, and doubts of all kinds."""
    marks = list(template.landmarks())
    ratios = np.array([_ratios(one, template)[marks] for one in met])
    far = np.array([max(apart(template, one.lies, one.networks_mm, one.present), 1.0) for one in met])
    counts = heed([one.case for one in met])
    kinds = np.array([kind_of(one.lies) for one in met])
    factors = template.factors.copy()
    doubts: dict[str, tuple[float, float]] = {}
    own = np.ones(len(marks))
    for kind in KINDS:
        of = kinds == kind
        if not of.any():
            continue
        power = _power(ratios[of], far[of], counts[of])
        left = ratios[of] / far[of, None] ** power / own
        if kind == KINDS[0]:
            own = np.array([held(column, counts[of]) for column in left.T])
            factors[marks] = own
            doubts[kind] = (power, 1.0)
        else:
            doubts[kind] = (power, held(left.ravel(), np.repeat(counts[of], len(marks))))
    rounded = {kind: (round(power, 3), round(factor, 3)) for kind, (power, factor) in doubts.items()}
    return replace(template, factors=np.round(factors, 3), doubts=rounded)


def _ratios(one: Met, template: Template) -> Array:
    """By which places (name,) lie off, by what is said of them without factors and doubts; NaN: not known."""
    places, errors = settled(template, one.lies, one.aims, one.networks_mm, one.present)
    off = np.linalg.norm(places - one.true_mm, axis=1)
    said = np.sqrt(np.diag(errors).reshape(-1, 3).sum(axis=1))
    return np.where(one.present >= template.present, off / said, np.nan)


def heed(cases: Sequence[str]) -> Array:
    """How much each scout counts, so that a case counts the same however many there are of it."""
    return np.array([HEED.get(case, 1.0) / cases.count(case) for case in cases])


def _power(ratios: Array, far: Array, heed: Array) -> float:
    """With which power of how far both ways lie apart errors (scout, name) grow, by least squares of logarithms."""
    size = 0.5 * np.log(np.nanmean(ratios**2, axis=1))
    shares, logs = heed / heed.sum(), np.log(far)
    logs, size = logs - shares @ logs, size - shares @ size
    return float(np.clip((shares * logs) @ size / max(float(shares @ logs**2), 1e-9), 0.0, STEEPEST))


def held(ratios: Array, heed: Array) -> float:
    """What 90 % of ratios (n,) do not exceed, by how much each counts; those that are not known (NaN) do not."""
    known = np.isfinite(ratios)
    order = np.argsort(ratios[known])
    shares = np.cumsum(heed[known][order])
    level = min(0.9 * (1 + 1 / max(len(order), 1)), 1.0) * shares[-1]
    return float(ratios[known][order][min(np.searchsorted(shares, level), len(order) - 1)])


def _off(one: Met, places_mm: Array) -> Array:
    """By which places (name, 3) lie off, as the mean head lies, at its size."""
    return (places_mm - one.true_mm) @ one.lies.posed.turn / one.lies.posed.scale


def _off_straight(one: Met, places_mm: Array, template: Template) -> Array:
    """The same by landmarks whose plane and line lie as the reference pose has them."""
    posed = one.lies.posed
    true_mm = straightened(template, Pose(one.turn, posed.scale, posed.shift_mm), one.true_mm)
    return (places_mm - true_mm) @ posed.turn / posed.scale


def _spread(off: Array) -> Array:
    """Mean square (name,) of errors (scout, name, 3)."""
    known = np.isfinite(off).all(axis=2)
    squares = np.where(known, (np.where(np.isfinite(off), off, 0.0) ** 2).sum(axis=2), 0.0)
    return np.asarray(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)) + LEAST_MM**2

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
from engines.positioning.settle import settled, straightened
from engines.positioning.template import Template
from trt_build.data.errors import DataError
from trt_build.landmarks.acquired import SLAB, equivalent
from trt_build.landmarks.drawn import draw_head
from trt_build.landmarks.heads import NAMES, Subject, subjects
from trt_build.landmarks.judge import truth_of
from trt_build.landmarks.mean import reference_turn
from trt_build.landmarks.positions import rigid

__all__ = ["Met", "calibrated", "meet"]

SCOUTS: Final = 156
SEED: Final = 23
SNR: Final = (5.0, 30.0)
LEAST_MM: Final = 0.3  # by which any place lies off
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """A scout of a head that was seen and laid upon, and where its landmarks are."""

    lies: Laid
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
    for number in range(SCOUTS):
        chance = np.random.default_rng([SEED, number])
        true_mm, turn, seen = _shown(heads[number % len(heads)], template, infer, chance)
        if seen is not None and seen.lies is not None and seen.plausible >= template.plausible:
            met.append(Met(seen.lies, seen.networks_mm, seen.present, true_mm, turn))
        tell(number + 1)
    if not met:
        raise DataError(f"{data}: no validation scout shows the networks a head; train them longer")
    return met


def _shown(
    subject: Subject, template: Template, infer: tuple[Infer, Infer], chance: np.random.Generator
) -> tuple[Array, Array, Seen | None]:
    lies = rigid(subject, chance)
    drawn = draw_head(subject, SLAB, lies, chance, own_face=True, natural=True)
    scout = equivalent(drawn, float(chance.uniform(*SNR)), chance)
    points = truth_of(subject, lies).points
    true_mm = np.array([points.get(name, (np.nan,) * 3) for name in NAMES])
    turn = lies.turn @ subject.pose.turn.T @ reference_turn(subject)
    return true_mm, turn, look(scout, template, *infer)


def calibrated(met: Sequence[Met], template: Template) -> Template:
    """The template with trust by the variances of either way, errors of both together, and radii of 90 % (conformal).

    Errors are against landmarks whose directions are those of the reference pose, radii against registered ones. Ends
    of a brain, which have no truth here, are left to registration, and their regions as they were.
    """
    marks = list(template.landmarks())
    ways = [
        _spread(np.array([_off(one, one.lies.to_scanner(template.laid_mm)) for one in met])),
        _spread(np.array([_off(one, one.networks_mm) for one in met])),
    ]
    trust = np.ones(len(template.names))
    trust[marks] = (ways[1] / (ways[0] + ways[1]))[marks]
    first = replace(template, trust=np.round(trust, 3))
    places = [settled(first, one.lies, one.networks_mm, one.present)[0] for one in met]
    off = np.array([_off(one, found) for one, found in zip(met, places, strict=True)])
    straight = np.array([_off_straight(one, found, first) for one, found in zip(met, places, strict=True)])
    known = np.where(np.isfinite(straight), straight, 0.0).reshape(len(met), -1)
    count = np.isfinite(off).reshape(len(met), -1).astype(float)
    errors = (known.T @ known) / np.maximum(count.T @ count, 1) + LEAST_MM**2 * np.eye(known.shape[1])
    claimed = np.sqrt(np.diag(errors).reshape(-1, 3).sum(axis=1))
    factors = template.factors.copy()
    for n in marks:
        ratios = np.linalg.norm(off[:, n], axis=1) / claimed[n]
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios):
            factors[n] = np.quantile(ratios, min(0.9 * (1 + 1 / len(ratios)), 1.0))
    return replace(first, errors_mm2=np.round(errors, 3), factors=np.round(factors, 3))


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

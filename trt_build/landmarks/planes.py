"""How far stacks lie off in scouts of the validation subjects, and factors with which their 90 % regions hold."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from engines.positioning.find import Infer, look, told
from engines.positioning.prescribe import prescribe
from engines.positioning.settle import kind_of
from engines.positioning.template import Template
from protocols.anatomy import find_anatomy
from trt_build.landmarks.calibrate import KINDS, heed, held
from trt_build.landmarks.heads import subjects
from trt_build.landmarks.judge import PlaneError, planes_of, truth_of
from trt_build.landmarks.positions import CASES, scanned

__all__ = ["Placed", "placed", "wide_enough"]

SCOUTS: Final = {"3-D": 120, "3-D, reconstructed": 24, "three planes": 60, "any contrast": 90}
SEED: Final = 78
FEWEST: Final = 15  # scouts of a kind that a factor is taken from


@dataclass(frozen=True, slots=True)
class Placed:
    """The stacks of one scout, with regions as landmarks alone make them."""

    case: str
    kind: str  # of calibrate.KINDS
    subject: str
    planes: Mapping[str, PlaneError]


def placed(
    infer: tuple[Infer, Infer], data: Path, template: Template, tell: Callable[[int], None] = lambda _: None
) -> list[Placed]:
    """Scouts of the validation subjects in any pose that were not refused."""
    bare = replace(template, planes={})
    anatomy = find_anatomy(template.anatomy)
    made = []
    for done, (case, number) in enumerate(_jobs(), 1):
        heads = subjects(data, "validation")
        subject = heads[number % len(heads)]
        lies, scout, _ = scanned(case, subject, np.random.default_rng([SEED, CASES.index(case), number]))
        seen = look(scout, bare, *infer)
        if lies is not None and seen is not None and seen.lies is not None:
            found = told(scout, seen, bare)
            all_plans = {plan: prescribe(anatomy, plan, found, found.time_s) for plan in anatomy.plans}
            errors = planes_of(anatomy, all_plans, truth_of(subject, lies))
            made.append(Placed(case, kind_of(seen.lies), subject.name, errors))
        tell(done)
    return made


def _jobs() -> Iterator[tuple[str, int]]:
    for case, count in SCOUTS.items():
        for number in range(count):
            yield case, number


def wide_enough(rows: Sequence[Placed], template: Template) -> Template:
    """The template with factors (conformal) by which regions of stacks hold nine of ten, for each kind of scout."""
    made: dict[str, dict[str, tuple[float, float]]] = {}
    for kind in KINDS:
        for plan in find_anatomy(template.anatomy).plans:
            there = [row for row in rows if row.kind == kind and plan in row.planes]
            if len(there) >= FEWEST:
                counts = heed([row.case for row in there])
                planes = [row.planes[plan] for row in there]
                mm = held(np.array([one.mm / one.region90_mm for one in planes]), counts)
                deg = held(np.array([one.deg / one.region90_deg for one in planes]), counts)
                made.setdefault(kind, {})[plan] = round(mm, 3), round(deg, 3)
    return replace(template, planes=made)

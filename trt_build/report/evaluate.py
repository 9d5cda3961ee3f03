"""Methods against cases: one row of figures for each image, means and medians over rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from statistics import mean, median
from typing import Any, TypeAlias

import numpy as np

from trt_build.report.cases import Case
from trt_build.report.classical import Reconstruct
from trt_build.report.methods import Drawn, timed
from trt_build.report.metrics import Quality, quality

__all__ = ["Key", "Row", "evaluate", "judge", "summary"]

Key: TypeAlias = tuple[str, int, str, str]  # group, acceleration, pattern, method


@dataclass(frozen=True, slots=True)
class Row:
    """What one method reached on one case."""

    group: str
    name: str
    acceleration: int
    pattern: str
    method: str
    ms: float  # making the image, sensitivity maps given
    head: Quality
    brain: Quality
    covered: float | None = None  # share of pixels in the head whose error lies under the method's own bound
    outside: str = ""  # why the chain would not have used the method

    def flat(self) -> dict[str, Any]:
        """The same as one level of keys, for a CSV file."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in ("head", "brain")}
        for region in ("head", "brain"):
            kept |= {f"{region}_{name}": value for name, value in getattr(self, region)._asdict().items()}
        return kept


def judge(case: Case, method: str, drawn: Drawn) -> Row:
    """Figures of one image, and of its error map where it has one."""
    covered = None
    if drawn.error is not None:
        under = np.abs(drawn.image - case.target) <= drawn.error
        covered = float(under[case.head & case.calibration.inside].mean())
    return Row(
        group=case.group,
        name=case.name,
        acceleration=case.acceleration,
        pattern=case.pattern,
        method=method,
        ms=drawn.ms,
        head=quality(drawn.image, case.reference, case.head),
        brain=quality(drawn.image, case.reference, case.brain),
        covered=covered,
        outside="; ".join(drawn.outside),
    )


def evaluate(reconstruct: Reconstruct, cases: Iterable[Case], method: str = "") -> list[Row]:
    """Reconstruct every case once and compare with its reference."""
    return [judge(case, method, timed(partial(reconstruct, case))) for case in cases]


def summary(rows: Iterable[Row]) -> dict[Key, dict[str, float]]:
    """Means over cases, and the median time."""
    kept: dict[Key, list[Row]] = {}
    for row in rows:
        kept.setdefault((row.group, row.acceleration, row.pattern, row.method), []).append(row)
    return {key: _means(some) for key, some in kept.items()}


def _means(rows: list[Row]) -> dict[str, float]:
    figures = {"cases": float(len(rows)), "ms": median(row.ms for row in rows)}
    for region in ("head", "brain"):
        for name in Quality._fields:
            figures[f"{region}_{name}"] = mean(getattr(getattr(row, region), name) for row in rows)
    covered = [row.covered for row in rows if row.covered is not None]
    return figures | ({"covered": mean(covered)} if covered else {})

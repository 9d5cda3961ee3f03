"""Methods against cases: one row of figures for each image, means and medians over rows."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trt_build.report.cases import Case
from trt_build.report.classical import Reconstruct
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

    def flat(self) -> dict[str, Any]:
        """The same as one level of keys, for a CSV file."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name not in ("head", "brain")}
        for region in ("head", "brain"):
            kept |= {f"{region}_{name}": value for name, value in getattr(self, region)._asdict().items()}
        return kept


def judge(case: Case, method: str, image: NDArray[Any], ms: float, error: NDArray[np.float32] | None = None) -> Row:
    """Figures of one image (y, x), and of its error map (y, x) where it has one."""
    covered = None
    if error is not None:
        covered = float((np.abs(image - case.target) <= error)[case.head & case.calibration.inside].mean())
    return Row(
        case.group,
        case.name,
        case.acceleration,
        case.pattern,
        method,
        ms,
        quality(image, case.reference, case.head),
        quality(image, case.reference, case.brain),
        covered,
    )


def evaluate(reconstruct: Reconstruct, cases: Iterable[Case], method: str = "") -> list[Row]:
    """Reconstruct every case once and compare with its reference."""
    rows = []
    for case in cases:
        began = time.perf_counter()
        image = reconstruct(case)
        rows.append(judge(case, method, image, (time.perf_counter() - began) * 1e3))
    return rows


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

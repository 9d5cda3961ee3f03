"""One method, many cases, one table."""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from trt_build.report.cases import Case
from trt_build.report.classical import Reconstruct
from trt_build.report.metrics import Quality, quality

__all__ = ["Row", "evaluate", "judge", "summary"]


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

    def flat(self) -> dict[str, Any]:
        """The same as one level of keys, for a CSV file."""
        kept = {key: value for key, value in asdict(self).items() if key not in ("head", "brain")}
        for region in ("head", "brain"):
            kept |= {f"{region}_{key}": value for key, value in getattr(self, region)._asdict().items()}
        return kept


def judge(case: Case, method: str, image: Any, ms: float) -> Row:
    """Figures of one image (y, x)."""
    return Row(
        case.group,
        case.name,
        case.acceleration,
        case.pattern,
        method,
        ms,
        quality(image, case.reference, case.head),
        quality(image, case.reference, case.brain),
    )


def evaluate(reconstruct: Reconstruct, cases: Iterable[Case], method: str = "") -> list[Row]:
    """Reconstruct every case once and compare with its reference."""
    rows = []
    for case in cases:
        began = time.perf_counter()
        image = reconstruct(case)
        rows.append(judge(case, method, image, (time.perf_counter() - began) * 1e3))
    return rows


def summary(rows: Iterable[Row]) -> dict[tuple[str, int, str, str], dict[str, float]]:
    """Means over cases, and the median time, for each (group, acceleration, pattern, method)."""
    sorted_rows: dict[tuple[str, int, str, str], list[Row]] = {}
    for row in rows:
        sorted_rows.setdefault((row.group, row.acceleration, row.pattern, row.method), []).append(row)
    return {key: _means(some) for key, some in sorted_rows.items()}


def _means(rows: list[Row]) -> dict[str, float]:
    figures = {"cases": float(len(rows)), "ms": median(row.ms for row in rows)}
    for region in ("head", "brain"):
        for name in Quality._fields:
            figures[f"{region}_{name}"] = sum(getattr(getattr(row, region), name) for row in rows) / len(rows)
    return figures

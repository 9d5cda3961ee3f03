"""The whole report: tune the peer, reconstruct every case with every method, write tables, figures and pictures."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from trt_build.report.cases import Case, Slice, cases_of, head_slices, phantom_slices
from trt_build.report.earlier import Earlier
from trt_build.report.evaluate import Row, judge, summary
from trt_build.report.figures import benchmark, coverage, losses
from trt_build.report.methods import Drawn, Method, classical
from trt_build.report.panels import draw_panel
from trt_build.report.real import real_slices
from trt_build.report.tables import GROUPS, write_csv
from trt_build.report.text import report_text
from trt_build.report.tuning import Tuned, tune

__all__ = ["Plan", "Steps", "write_report"]

TUNED_ON: Final = 3  # validation subjects, one slice each
TUNING_HEIGHT_MM: Final = 20.0
PICTURED: Final = (4, 8)  # accelerations

Steps = Callable[[str, int], Callable[[], None]]  # what is done now, how many steps -> to be called after each


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured; a quick one is for trying things out and its figures are not for quoting."""

    data: Path  # folder with heads/ and mrd/
    quick: bool = False
    accelerations: tuple[int, ...] = (3, 4, 6, 8)
    heights_mm: tuple[float, ...] = (-5.0, 20.0, 45.0)
    earlier: Earlier | None = None  # whose rows stand for measuring its methods again

    def slices(self) -> Iterator[Slice]:
        """Everything that is reported, one by one."""
        if self.has("heads"):
            yield from self._heads("test", self.heights_mm, 2 if self.quick else None)
        yield from phantom_slices()
        if self.has("mrd"):
            yield from real_slices(self.data / "mrd")

    def tuning_slices(self) -> Iterator[Slice]:
        """What the weight of l1-wavelet is chosen on: validation subjects for heads, else what is reported."""
        if self.has("heads"):
            yield from self._heads("validation", (TUNING_HEIGHT_MM,), 1 if self.quick else TUNED_ON)
        yield from phantom_slices()
        if self.has("mrd"):
            yield from real_slices(self.data / "mrd")

    def has(self, folder: str) -> bool:
        """Whether this part of the data is here."""
        return (self.data / folder).is_dir()

    def knows(self, method: Method) -> bool:
        """Whether an earlier report has measured a method."""
        return self.earlier is not None and method.key in self.earlier.methods

    def cases(self, slices: Iterable[Slice]) -> Iterator[Case]:
        """Undersample slices as this plan wants."""
        return cases_of(slices, self.accelerations)

    def _heads(self, split: str, heights_mm: tuple[float, ...], subjects: int | None) -> Iterator[Slice]:
        count = None if subjects is None else subjects * len(heights_mm)
        yield from islice(head_slices(self.data / "heads", split, heights_mm), count)


@dataclass(slots=True)
class _Measured:
    rows: list[Row] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


def write_report(
    out: Path, plan: Plan, learned: Sequence[Method], facts: Mapping[str, Any], steps: Steps
) -> dict[str, Any]:
    """Write report.md, report.json, rows.csv and panels/ into `out`; gives what is in report.json.

    `learned` are the network and its trained peers, `facts` what is to be known of them (model, hash, backend).
    """
    (out / "panels").mkdir(parents=True, exist_ok=True)
    each = 2 * len(plan.accelerations)
    tuned = _tuned(plan, each, steps)
    methods = [*classical(tuned.weights, tuned.ecalib), *learned]
    slices = list(plan.slices())
    measured = _measure(out, plan, slices, methods, steps("reconstructing", each * len(slices)))
    means = summary(measured.rows)
    document = {
        "figures": benchmark(measured.rows),
        "coverage": coverage(measured.rows),
        "outside": {f"{r.name}, {r.pattern} R = {r.acceleration}": r.outside for r in measured.rows if r.outside},
        "losses": [loss._asdict() for loss in losses(means)],
        "about": {
            **facts,
            "quick": plan.quick,
            **({} if plan.earlier is None else {f"as in the report of {plan.earlier.model}": plan.earlier.methods}),
            "not trained": [method.key for method in methods if method.draw is None and not plan.knows(method)],
            "not measured": [name for name in GROUPS if name not in {row.group for row in measured.rows}],
        },
        "tuning": _tuning(tuned),
        "means": [
            dict(zip(("group", "acceleration", "pattern", "method"), key, strict=True)) | dict(values)
            for key, values in means.items()
        ],
    }
    write_csv(measured.rows, out / "rows.csv")
    (out / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / "report.md").write_text(report_text(document, measured.rows, measured.pictures, methods))
    return document


def _tuned(plan: Plan, each: int, steps: Steps) -> Tuned:
    if plan.earlier is not None:
        return plan.earlier.tuned
    tuning = list(plan.tuning_slices())
    return tune(plan.cases(tuning), steps("tuning ℓ1-wavelet", each * len(tuning)))


def _measure(
    out: Path, plan: Plan, slices: Sequence[Slice], methods: Sequence[Method], step: Callable[[], None]
) -> _Measured:
    """Every method on every case; heads of subjects are not pictured, as pictures of them are not to be published."""
    measured = _Measured()
    for case in plan.cases(slices):
        pictured = case.group != "heads" and case.acceleration in PICTURED and case.pattern == "equispaced"
        drawn: dict[str, Drawn | None] = {}
        for method in methods:
            known = plan.knows(method)
            drawn[method.key] = made = None if method.draw is None or (known and not pictured) else method.draw(case)
            if plan.earlier is not None and known:
                place = (case.group, case.name, case.acceleration, case.pattern)
                measured.rows.append(plan.earlier.row(place, method.key))
            elif made is not None:
                measured.rows.append(judge(case, method.key, made))
        if pictured:
            picture = f"panels/{case.name.replace(' ', '_')}_r{case.acceleration}.png"
            draw_panel(case, drawn, out / picture)
            measured.pictures.append(picture)
        step()
    return measured


def _tuning(tuned: Tuned) -> list[dict[str, Any]]:
    return [
        {"group": group, "acceleration": acceleration, "pattern": pattern, "lambda": weight, "maps": maps}
        for (group, acceleration, pattern), weight in tuned.weights.items()
        for maps in ("ecalib" if tuned.ecalib[group, acceleration, pattern] else "ours",)
    ]

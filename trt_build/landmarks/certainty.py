"""What a report proves: how often 90 % regions of stacks held the true one, and what share is refused at least."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.stats import beta

from trt_build.landmarks.judge import Judged, PlaneError
from trt_build.landmarks.scouts import BAD

__all__ = ["coverage_of_planes", "refusal_of", "said_of_refusals", "table_of_planes"]

UNSURE: Final = 0.05
Shares = dict[str, float | int]


def refusal_of(rows: Sequence[Judged]) -> Shares:
    """How many scouts without a whole head were stopped, and the share that this proves with 95 % (Clopper-Pearson)."""
    bad = [row for row in rows if row.case in BAD]
    stopped = sum(row.stopped() for row in bad)
    least = float(beta.ppf(UNSURE, stopped, len(bad) - stopped + 1)) if stopped else 0.0
    return {"scouts": len(bad), "stopped": stopped, "at_least95": round(least, 4)}


def said_of_refusals(rows: Sequence[Judged]) -> str:
    """A sentence."""
    of = refusal_of(rows)
    proved = f"{100 * of['at_least95']:.1f} % with a confidence of 95 % (Clopper-Pearson, one-sided)"
    return f"`position_refusal`: {of['stopped']} of {of['scouts']}, which proves at least {proved}."


def coverage_of_planes(rows: Sequence[Judged]) -> dict[str, dict[str, Shares]]:
    """Case, plan -> coverage, 90 % of the errors and median half-width, mm and degrees; of all that was prescribed."""
    made: dict[str, dict[str, list[PlaneError]]] = {}
    for row in rows:
        for plan, error in (row.planes or {}).items():
            made.setdefault(row.case, {}).setdefault(plan, []).append(error)
    return {case: {plan: _shares(errors) for plan, errors in plans.items()} for case, plans in made.items()}


def _shares(errors: Sequence[PlaneError]) -> Shares:
    pairs = {
        "mm": np.array([(one.mm, one.region90_mm) for one in errors]).T,
        "deg": np.array([(one.deg, one.region90_deg) for one in errors]).T,
    }
    made: Shares = {"n": len(errors)}
    for unit, (off, region) in pairs.items():
        made |= {
            f"{unit}_coverage90": round(float(np.mean(off <= region)), 4),
            f"{unit}_p90": round(float(np.quantile(off, 0.9)), 3),
            f"{unit}_region90": round(float(np.median(region)), 3),
        }
    return made


def table_of_planes(rows: Sequence[Judged]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "",
        "Regions of stacks: mm of the middle along the slice direction, degrees of the turn of all three directions. "
        "True directions of midline and line AC-PC are the reference pose's, as for `deg` above; those of hippocampi "
        "and optic nerves, all places and the ends of the brain are the subject's own registered ones. Scouts of one "
        "subject err alike: coverage is that of a few heads.",
        "",
        "| stack | scouts | n | region mm | P90 of errors | coverage | region deg | P90 of errors | coverage |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, plans in coverage_of_planes(rows).items():
        for plan, of in plans.items():
            told = " | ".join(
                f"± {of[f'{unit}_region90']:.2f} | {of[f'{unit}_p90']:.2f} | {100 * of[f'{unit}_coverage90']:.1f} %"
                for unit in ("mm", "deg")
            )
            lines.append(f"| {plan} | {case} | {of['n']} | {told} |")
    return lines

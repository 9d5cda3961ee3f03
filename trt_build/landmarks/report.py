"""The report of `scanside-build positions`: Markdown, JSON and a histogram."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trt_build.landmarks.certainty import coverage_of_planes, refusal_of, said_of_refusals, table_of_planes
from trt_build.landmarks.judge import FRAME, MAIN, Judged
from trt_build.landmarks.overlays import CAPTION
from trt_build.landmarks.scouts import BAD

__all__ = ["figures_of", "write"]

GOALS: Final = {
    "position_median_mm": (0.8, "max"),
    "position_median_deg": (0.5, "max"),
    "position_p95_mm": (2.5, "max"),
    "position_p95_deg": (2.0, "max"),
    "position_accepted": (0.95, "min"),
    "position_worst_accepted_mm": (10.0, "max"),
    "position_worst_accepted_deg": (10.0, "max"),
    "position_refusal": (0.99, "min"),
}
COVERED: Final = (0.88, 0.92)
UNITS: Final = {"mm": "mm", "deg": "deg"}
Values = NDArray[np.float64]


def figures_of(rows: Sequence[Judged]) -> dict[str, float]:
    """The keys of the benchmark: medians and P95 of 3-D scouts not refused, the worst of all accepted ones."""
    scouts = [row for row in rows if row.case == "3-D"]
    accepted = [row for row in scouts if row.status[MAIN] == "OK"]
    everywhere = [row for row in rows if row.case not in BAD and row.status[MAIN] == "OK"]
    found = [row for row in scouts if row.status[MAIN] != "REFUSED"]
    mm, deg = (_values(found, name) for name in ("mm", "deg"))
    inside = [held for row in found for held in (row.inside90 or {}).values()]
    bad = [row for row in rows if row.case in BAD]
    return {
        "position_median_mm": _quantile(mm, 0.5),
        "position_median_deg": _quantile(deg, 0.5),
        "position_p95_mm": _quantile(mm, 0.95),
        "position_p95_deg": _quantile(deg, 0.95),
        "position_accepted": len(accepted) / max(len(scouts), 1),
        "position_worst_accepted_mm": _quantile(_values(everywhere, "mm"), 1.0),
        "position_worst_accepted_deg": _quantile(_values(everywhere, "deg"), 1.0),
        "position_coverage90": float(np.mean(inside)) if inside else float("nan"),
        "position_refusal": float(np.mean([row.stopped() for row in bad])) if bad else float("nan"),
    }


def write(
    rows: Sequence[Judged], about: Mapping[str, Any], out: Path, overlays: bytes | None = None
) -> dict[str, float]:
    """Write report.md, report.json, errors.png, overlays.png where there is one; gives the figures."""
    figures = {name: round(value, 4) for name, value in figures_of(rows).items() if np.isfinite(value)}
    out.mkdir(parents=True, exist_ok=True)
    kinds = {case: _kind([row for row in rows if row.case == case]) for case in dict.fromkeys(row.case for row in rows)}
    said = {
        "about": dict(about),
        "figures": {name: {"value": value, "unit": _unit(name)} for name, value in figures.items()},
        "kinds": kinds,
        "refusal": refusal_of(rows),
        "coverage_of_planes": coverage_of_planes(rows),
        "landmarks_mm": _landmarks(rows),
        "turns_deg": _turns(rows),
    }
    (out / "report.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    text = _text(rows, figures, kinds, about)
    if overlays is not None:
        (out / "overlays.png").write_bytes(overlays)
        text += CAPTION
    (out / "report.md").write_text(text, encoding="utf-8")
    _picture([row for row in rows if row.case == "3-D"], out / "errors.png")
    return figures


def _kind(rows: Sequence[Judged]) -> dict[str, float | int]:
    """Figures of one kind of scout; errors are of those not refused."""
    found = [row for row in rows if row.status[MAIN] != "REFUSED"]
    made: dict[str, float | int] = {
        "scouts": len(rows),
        "ok": sum(row.status[MAIN] == "OK" for row in rows),
        "review": sum(row.status[MAIN] == "REVIEW" for row in rows),
        "refused": sum(row.status[MAIN] == "REFUSED" for row in rows),
        "stopped": sum(row.stopped() for row in rows),
        "ms": round(float(np.median([row.ms for row in rows])), 1),
    }
    for name in ("mm", "deg", "own_deg", "stack_mm", "stack_deg"):
        values = _values(found, name)
        if len(values):
            made |= {
                f"{name}_{what}": round(_quantile(values, q), 3)
                for what, q in (("median", 0.5), ("p95", 0.95), ("worst", 1.0))
            }
    held = [inside for row in found for inside in (row.inside90 or {}).values()]
    if held:
        made["coverage90"] = round(float(np.mean(held)), 4)
    return made


def _landmarks(rows: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Median and P95 of the distance of each landmark, and how often its region held it, in 3-D scouts not refused."""
    found = [row for row in rows if row.case == "3-D" and row.status[MAIN] != "REFUSED"]
    made = {}
    for name in dict.fromkeys(name for row in found for name in row.off_mm or {}):
        off = np.array([row.off_mm[name] for row in found if row.off_mm and name in row.off_mm])
        held = [row.inside90[name] for row in found if row.inside90 and name in row.inside90]
        made[name] = {
            "median": round(float(np.median(off)), 3),
            "p95": round(float(np.quantile(off, 0.95)), 3),
            "coverage90": round(float(np.mean(held)), 3) if held else float("nan"),
        }
    return made


def _turns(rows: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Where degrees come from: root mean squares about each axis, of subjects' means and of scouts about these."""
    found = [row for row in rows if row.case == "3-D" and row.status[MAIN] != "REFUSED" and row.about_deg is not None]
    if not found:
        return {}
    about = np.array([row.about_deg for row in found])
    names = np.array([row.subject for row in found])
    means = np.array([about[names == name].mean(axis=0) for name in dict.fromkeys(names.tolist())])
    within = np.mean([about[names == name].var(axis=0) for name in dict.fromkeys(names.tolist())], axis=0)
    parts = {"all": (about**2).mean(axis=0), "subjects": (means**2).mean(axis=0), "scouts": within}
    return {
        name: dict(zip(FRAME, np.round(np.sqrt(squares), 3).tolist(), strict=True)) for name, squares in parts.items()
    }


def _whence(rows: Sequence[Judged]) -> list[str]:
    turns = _turns(rows)
    if not turns:
        return []
    what = {
        "all": "all 3-D scouts",
        "subjects": "means of subjects",
        "scouts": "scouts about their subject's mean",
    }
    return [
        "",
        "| degrees, root mean square | about left | about anterior | about superior |",
        "|---|---|---|---|",
        *(f"| {what[name]} | " + " | ".join(f"{deg:.2f}" for deg in of.values()) + " |" for name, of in turns.items()),
    ]


def _text(
    rows: Sequence[Judged], figures: Mapping[str, float], kinds: Mapping[str, Any], about: Mapping[str, Any]
) -> str:
    low, high = about["snr"]
    lines = [
        "# Auto-positioning: what is found and prescribed",
        "",
        f"`scanside-build positions`, model {about['model']} ({about['hash'][:12]}), test subjects that nothing was "
        f"trained or tuned on, turned by up to {about['turn_deg']:g} degrees about each axis and shifted by up to "
        f"{about['shift_mm']:g} mm along each, SNR {low:g} to {high:g} (uniform).",
        "",
        "| figure | value | goal | |",
        "|---|---|---|---|",
    ]
    for name, value in figures.items():
        goal, met = _goal(name, value)
        lines.append(f"| `{name}` | {value:.3g} | {goal} | {'met' if met else '**not met**'} |")
    lines += ["", said_of_refusals(rows)]
    lines += [
        "",
        "mm: distance of the middle between AC and PC from where registration at 2 mm has it; deg: turn between the "
        "frame (left, anterior, superior) that the rules make of found landmarks and that of the subject's reference "
        "pose (similarity of brain and template by mutual information; its axes are those that the registered "
        "landmarks have on average over all heads). 'By points' is the turn from the frame of the subject's own "
        "registered AC, PC and midline: 28 and 70 mm long, it strays itself by 1.0 degrees about L and 1.3 about P "
        "(standard deviations) when another registration looks at the same 2 mm volumes. "
        f"Accepted: `{MAIN}` is OK. Medians, P95 and coverage are of 3-D "
        "scouts that were not refused, the worst is of accepted ones: no line where none was. "
        "Refusal: no plan of a scout without a whole head is OK. Colin27 and the MNI template are of people "
        "that no network, mean head or region has seen; the template has no face, and rings for skull and skin.",
        "",
        "| scouts | n | OK | REVIEW | REFUSED | median, P95, worst mm | median, P95, worst deg | by points | "
        "coverage 90 % | ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, kind in kinds.items():
        mm, deg, own = (
            ", ".join(f"{kind[f'{name}_{what}']:.2f}" for what in ("median", "p95", "worst"))
            if f"{name}_median" in kind and case not in BAD
            else "-"
            for name in ("mm", "deg", "own_deg")
        )
        held = f"{100 * kind['coverage90']:.1f} %" if "coverage90" in kind else "-"
        counts = " | ".join(str(kind[name]) for name in ("scouts", "ok", "review", "refused"))
        lines.append(f"| {case} | {counts} | {mm} | {deg} | {own} | {held} | {kind['ms']:.0f} |")
    lines += table_of_planes(rows)
    lines += _whence(rows)
    lines += ["", "| landmark | median mm | P95 mm | coverage of 90 % |", "|---|---|---|---|"]
    for name, of in _landmarks(rows).items():
        lines.append(f"| {name} | {of['median']:.2f} | {of['p95']:.2f} | {100 * of['coverage90']:.0f} % |")
    lines += ["", "| why 3-D scouts were not accepted | n |", "|---|---|"]
    lines += [f"| {reason} | {count} |" for reason, count in _why(rows)]
    return "\n".join([*lines, "", "![Histograms of the errors](errors.png)", ""])


def _why(rows: Sequence[Judged]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for row in rows:
        if row.case == "3-D" and row.status[MAIN] != "OK":
            for code in {reason.split(":")[0] for reason in row.reasons}:
                counts[code] = counts.get(code, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _goal(name: str, value: float) -> tuple[str, bool]:
    if name == "position_coverage90":
        return f"{COVERED[0]:g} to {COVERED[1]:g}", COVERED[0] <= value <= COVERED[1]
    limit, direction = GOALS[name]
    sign = "≤" if direction == "max" else "≥"
    return f"{sign} {limit:g}", value <= limit if direction == "max" else value >= limit


def _unit(name: str) -> str:
    return UNITS.get(name.rsplit("_", 1)[-1], "1")


def _values(rows: Sequence[Judged], name: str) -> Values:
    return np.array([value for row in rows if (value := getattr(row, name)) is not None], np.float64)


def _quantile(values: Values, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _picture(rows: Sequence[Judged], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure((8, 3), layout="constrained")
    for axes, (name, unit, goal) in zip(
        figure.subplots(1, 2), (("mm", "mm", 0.8), ("deg", "degrees", 0.5)), strict=True
    ):
        for status, colour in (("OK", "tab:blue"), ("REVIEW", "tab:orange")):
            values = _values([row for row in rows if row.status[MAIN] == status], name)
            axes.hist(np.minimum(values, 5), bins=np.linspace(0, 5, 51).tolist(), color=colour, alpha=0.7, label=status)
        axes.axvline(goal, color="black", linewidth=0.8, linestyle="--", label="goal of the median")
        axes.set_xlabel(f"error, {unit} (5 and more in the last bar)")
        axes.set_ylabel("3-D scouts")
        axes.legend()
    figure.savefig(file, dpi=90)

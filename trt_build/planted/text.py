"""The table and the picture of planted structures."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from trt_build.planted.roc import Area, Scores, area, curve, wilson
from trt_build.planted.scores import CUES, Row
from trt_build.planted.structures import CONTRASTS, KINDS, SIZES

__all__ = ["draw_curves", "table"]

SHOWN: Final = 0.2  # contrast of the picture's curves
NAMES: Final = {
    "local_difference": "most striking difference, in noise of the linear image there",
    "linear_difference": "difference in blocks of 16 pixels",
    "trust": "error of withheld lines",
    "trust_vs_linear": "the same, by the companion's",
    "error_share": "mass of the error map",
}
Score = Callable[[Row], float]


def table(rows: Sequence[Row], about: str) -> str:
    """Markdown: what clean images are called, the verdict's area by size and contrast, every cue's area by size."""
    accelerations = sorted({row.acceleration for row in rows})
    lines = ["# Planted structures: what tells them", "", about, ""]
    for acceleration in accelerations:
        some = [row for row in rows if row.acceleration == acceleration]
        lines += [f"## R = {acceleration}", "", _clean(some), "", *_by_contrast(some), "", *_by_cue(some), ""]
    return "\n".join(lines)


def _clean(rows: Sequence[Row]) -> str:
    clean = [row for row in rows if row.kind == "clean"]
    doubted = sum(row.word != "trusted" for row in clean)
    low, high = wilson(doubted, len(clean))
    return f"Clean images: {doubted} of {len(clean)} are not called trusted ({low:.1%} to {high:.1%})."


def _by_contrast(rows: Sequence[Row]) -> Iterator[str]:
    yield "Verdict, area under the curve (95 % over subjects), and the share that is not called trusted:"
    yield ""
    yield "| structure | " + " | ".join(f"contrast {contrast:.0%}" for contrast in CONTRASTS) + " |"
    yield "|---|" + "---|" * len(CONTRASTS)
    for kind in KINDS:
        for size in SIZES:
            cells = [_cell(rows, kind, size, contrast) for contrast in CONTRASTS]
            yield f"| {kind}, {size} pixels | {' | '.join(cells)} |"


def _cell(rows: Sequence[Row], kind: str, size: int, contrast: float) -> str:
    some = [row for row in rows if (row.kind, row.size, row.contrast) == (kind, size, contrast)]
    told = sum(row.word != "trusted" for row in some) / len(some)
    return f"{_area(some, rows, lambda row: row.excess)}, {told:.0%}"


def _by_cue(rows: Sequence[Row]) -> Iterator[str]:
    yield "Each cue alone, all contrasts and both kinds:"
    yield ""
    yield "| cue | " + " | ".join(f"{size} pixels" for size in SIZES) + " |"
    yield "|---|" + "---|" * len(SIZES)
    scores: list[tuple[str, Score]] = [(NAMES[code], _score(code)) for code in CUES]
    for name, score in [*scores, ("**verdict**", lambda row: row.excess)]:
        cells = [str(_area([row for row in rows if row.size == size], rows, score)) for size in SIZES]
        yield f"| {name} | {' | '.join(cells)} |"
    yield "| input range | " + " | ".join(["0.50, every case is inside"] * len(SIZES)) + " |"


def _score(code: str) -> Score:
    return lambda row: row.cues[code]


def _area(planted: Iterable[Row], rows: Iterable[Row], score: Score) -> Area:
    return area(_by_subject(planted, score), _by_subject((row for row in rows if row.kind == "clean"), score))


def _by_subject(rows: Iterable[Row], score: Score) -> Scores:
    kept: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        kept[row.subject].append(score(row))
    return {subject: np.array(scores) for subject, scores in kept.items()}


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Save one picture: the verdict's curves by size, and each cue's, at one contrast, a row for each acceleration."""
    from matplotlib.figure import Figure

    accelerations = sorted({row.acceleration for row in rows})
    figure = Figure(figsize=(8, 3.6 * len(accelerations)), dpi=80, layout="constrained")
    axes = figure.subplots(len(accelerations), 2, squeeze=False)
    for pair, acceleration in zip(axes, accelerations, strict=True):
        some = [row for row in rows if row.acceleration == acceleration]
        clean = [row for row in some if row.kind == "clean"]
        planted = [row for row in some if row.contrast == SHOWN]
        for size in SIZES:
            _plot(
                pair[0], [row for row in planted if row.size == size], clean, lambda row: row.excess, f"{size} pixels"
            )
        for code in CUES:
            _plot(pair[1], planted, clean, _score(code), code)
        for axis, what in zip(pair, ("verdict, by size", "each cue, all sizes"), strict=True):
            axis.set(title=f"R = {acceleration}, contrast {SHOWN:.0%}: {what}", xlabel="false", ylabel="found")
            axis.legend(frameon=False, fontsize=7, loc="lower right")
    figure.savefig(path)


def _plot(axis: Any, planted: Sequence[Row], clean: Sequence[Row], score: Score, label: str) -> None:
    false, true = curve(*(np.array([score(row) for row in some]) for some in (planted, clean)))
    axis.plot(false, true, label=label, linewidth=1.2)

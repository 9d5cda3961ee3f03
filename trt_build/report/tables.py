"""The report as text: Markdown for people, CSV for spreadsheets."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

from trt_build.report.evaluate import Key, Row
from trt_build.report.figures import Loss
from trt_build.report.methods import NAMES, Method
from trt_build.report.metrics import Quality

__all__ = ["GROUPS", "loss_table", "main_table", "quality_tables", "write_csv"]

GROUPS: Final = {
    "heads": "test heads (simulated)",
    "mni": "MNI head (simulated)",
    "shepp_logan": "Shepp-Logan (simulated)",
    "real": "real brains, undersampled afterwards",
}
REGIONS: Final = {"brain": "inside the brain", "head": "inside the head"}
METRICS: Final = {"psnr_db": ("PSNR, dB", ".1f"), "ssim": ("SSIM", ".3f"), "nmse": ("NMSE", ".4f")}


def quality_tables(means: Mapping[Key, Mapping[str, float]], methods: Sequence[Method]) -> str:
    """One table for each group and region: a row a method, a column for each acceleration and pattern."""
    parts = []
    for group, title in GROUPS.items():
        columns = sorted({(pattern, acceleration) for at, acceleration, pattern, _ in means if at == group})
        for region, where in REGIONS.items() if columns else ():
            parts.append(f"### {title}, {where}: PSNR dB / SSIM / NMSE\n")
            rows = [
                [
                    method.name,
                    *(
                        _cell(means, (group, acceleration, pattern, method.key), region)
                        for pattern, acceleration in columns
                    ),
                ]
                for method in methods
            ]
            parts.append(_table(["", *(f"{pattern} R = {acceleration}" for pattern, acceleration in columns)], rows))
    return "\n".join(parts)


def _cell(means: Mapping[Key, Mapping[str, float]], key: Key, region: str) -> str:
    if key not in means:
        return "not trained"
    return " / ".join(f"{means[key][f'{region}_{name}']:{form}}" for name, (_, form) in METRICS.items())


def main_table(rows: Sequence[Row], methods: Sequence[Method]) -> str:
    """PSNR and SSIM inside the brain, means over masks and slices, and the median time of 256 x 256 pixels."""
    columns = [
        (group, acceleration)
        for group in GROUPS
        for acceleration in (4, 8)
        if any((row.group, row.acceleration) == (group, acceleration) for row in rows)
    ]
    body = []
    for method in methods:
        own = [row for row in rows if row.method == method.key]
        taken = [row.ms for row in own if row.group != "real"]
        cells = [_mean_cell([r.brain for r in own if (r.group, r.acceleration) == column]) for column in columns]
        body.append([method.name, *cells, f"{median(taken):.0f}" if taken else ""])
    head = [f"{GROUPS[group]}, R = {acceleration}" for group, acceleration in columns]
    return _table(["", *head, "ms"], body)


def _mean_cell(some: Sequence[Quality]) -> str:
    if not some:
        return "not trained"
    return f"{mean(quality.psnr_db for quality in some):.1f} / {mean(quality.ssim for quality in some):.3f}"


def loss_table(losses: Sequence[Loss]) -> str:
    """Where a peer is better."""
    if not losses:
        return "Nowhere in these means.\n"
    body = [
        [
            GROUPS[loss.group],
            f"{loss.pattern} R = {loss.acceleration}",
            REGIONS[loss.region],
            METRICS[loss.metric][0],
            NAMES[loss.peer],
            f"{loss.reached:{METRICS[loss.metric][1]}}",
            f"{loss.network:{METRICS[loss.metric][1]}}",
        ]
        for loss in losses
    ]
    return _table(["cases", "mask", "where", "figure", "peer", "peer's", "network's"], body)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line for each image."""
    flat: list[dict[str, Any]] = [row.flat() for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)

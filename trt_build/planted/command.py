"""What `scanside-build trust` does: plant structures in network images of test heads, and write who tells them."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits

from engines.engine import open_engine
from engines.errors import EngineError
from engines.model import find_model, load_model, shipped
from protocols.scan_protocol import find
from trt_build.planted.scores import CUES, Row, scores_of
from trt_build.planted.text import draw_curves, table
from trt_build.report.cases import HEIGHTS_MM, Case, head_slices, undersample
from trt_build.report.subjects import subjects_of

__all__ = ["Options", "trust"]

PROTOCOL: Final = "brain_gre_r4_network"  # whose limits the verdict is made with
ACCELERATIONS: Final = (4, 8)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    out: Path
    data: Path
    model: str | None = None
    backend: str = "auto"
    split: str = "test"
    quick: bool = False
    allow_unsigned: bool = False


def trust(options: Options) -> None:
    """Write rows.csv, table.md and roc.png; what cannot be done is one line and exit code 1."""
    try:
        rows, about = _measure(options)
    except (EngineError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    options.out.mkdir(parents=True, exist_ok=True)
    _write(options.out / "rows.csv", rows)
    (options.out / "table.md").write_text(table(rows, about), encoding="utf-8")
    draw_curves(rows, options.out / "roc.png")
    typer.echo(f"{options.out / 'table.md'}")


def _measure(options: Options) -> tuple[list[Row], str]:
    model = load_model(find_model(options.model or next(iter(shipped()))), allow_unsigned=options.allow_unsigned)
    limits = find(PROTOCOL).limits
    heads = options.data / "heads"
    heights = HEIGHTS_MM[1:2] if options.quick else HEIGHTS_MM
    count = len(subjects_of(heads, options.split)) * len(heights) * len(ACCELERATIONS)
    rows: list[Row] = []
    with open_engine(model, options.backend, threads=1) as engine, threadpool_limits(1):
        cases = _cases(heads, options.split, heights)
        for seed, case in enumerate(track(cases, "planting", total=count, console=Console(stderr=True))):
            rows += scores_of(case, engine, model.card.strength, limits, seed)
    subjects = len({row.subject for row in rows})
    clean = sum(row.kind == "clean" for row in rows)
    planted = len(rows) - clean
    about = (
        f"`scanside-build trust`: {clean} network images ({model.card.name} {model.card.version}, 3 % of the lines "
        f"withheld) of {subjects} {options.split} heads, 16 coils, 256 x 256, equispaced lines, the mean of the brain "
        f"21 times the noise. A disc of every kind, size and contrast in each, {planted} in all: invented ones are "
        f"added to the network's image, erased ones to the patient. Limits are those of {PROTOCOL}."
    )
    return rows, about


def _cases(heads: Path, split: str, heights: Sequence[float]) -> Iterator[Case]:
    for full in head_slices(heads, split, heights):
        for acceleration in ACCELERATIONS:
            yield undersample(full, acceleration, "equispaced")


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["subject", "name", "R", "kind", "size", "contrast", *CUES, "word", "excess"])
        for row in rows:
            cues = [f"{row.cues[code]:.5g}" for code in CUES]
            where = [row.subject, row.name, row.acceleration, row.kind, row.size, row.contrast]
            out.writerow([*where, *cues, row.word, f"{row.excess:.5g}"])

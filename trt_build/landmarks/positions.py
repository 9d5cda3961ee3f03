"""What `scanside-build positions` does: scouts of test subjects in random poses, and what is prescribed of them."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from engines.engine import open_engine
from engines.errors import EngineError
from engines.model import load_model
from engines.positioning.find import find
from engines.positioning.scout import Scout
from engines.positioning.template import Template, template_of
from protocols.anatomy import find_anatomy
from trt_build.data.errors import DataError
from trt_build.landmarks.acquired import LOCALIZER, SLAB, equivalent, localizer, slab
from trt_build.landmarks.drawn import CONTROL, Drawn, Grid, HeadPose, draw_head
from trt_build.landmarks.heads import Subject, subjects
from trt_build.landmarks.judge import Judged, Truth, judged, truth_of
from trt_build.landmarks.scouts import BAD, Ranges, simulate, turned
from trt_build.landmarks.strangers import FACELESS, STRANGERS, stranger
from trt_build.training.step import one_thread

__all__ = ["CASES", "Options", "Taken", "finder", "known_stranger", "run", "scanned", "taken"]

TURN_DEG, SHIFT_MM, SNR = 30.0, 40.0, (5.0, 30.0)  # of the poses; about and along each axis
SEED: Final = 41
CHUNK: Final = 10
Infer = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    data: Path
    out: Path
    model: str = "head_landmarks"
    scouts: int = 504  # 3-D, at R = 4 by an equivalent of the reconstruction
    solved: int = 96  # 3-D, at R = 4 through the reconstruction itself
    localizers: int = 200
    contrasts: int = 200  # 3-D, in contrasts that other sequences make
    bad: int = 100  # of each kind
    workers: int = 2
    allow_unsigned: bool = field(default=False)
    strangers: int = 18  # 3-D, of each head that is no subject of the folder


def run(options: Options) -> None:
    """Measure, write the report, and say the figures; what cannot be done is one line and exit code 1."""
    from rich.progress import track

    from trt_build.landmarks.overlays import overlays
    from trt_build.landmarks.report import write

    try:
        model = load_model(options.model, allow_unsigned=options.allow_unsigned)
        subjects(options.data, "test")
        jobs = [(options, *job) for job in _jobs(options)]
        rows: list[Judged] = []
        with ProcessPoolExecutor(max(1, options.workers), get_context("forkserver"), one_thread) as pool:
            for some in track(pool.map(_some, jobs), "scouts", total=len(jobs), transient=True):
                rows += some
        about = {"model": options.model, "hash": model.hash, "turn_deg": TURN_DEG, "shift_mm": SHIFT_MM, "snr": SNR}
        figures = write(rows, about, options.out, overlays(rows, options))
    except (DataError, EngineError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    typer.echo("\n".join(f"{name} {value:.4g}" for name, value in figures.items()))


def _jobs(options: Options) -> Iterator[tuple[str, int, int]]:
    """Kind of case, and which of them: [first, end)."""
    counts = dict(zip(CASES, (options.scouts, options.solved, options.localizers, options.contrasts), strict=True))
    there = [name for name in STRANGERS if known_stranger(name) is not None]
    for case, count in (counts | dict.fromkeys(BAD, options.bad) | dict.fromkeys(there, options.strangers)).items():
        for first in range(0, count, CHUNK):
            yield case, first, min(first + CHUNK, count)


def _some(job: tuple[Options, str, int, int]) -> list[Judged]:
    options, case, first, end = job
    template, far_infer, near_infer = finder(options.model, options.allow_unsigned)
    anatomy = find_anatomy(template.anatomy)
    rows = []
    for number in range(first, end):
        one = taken(options.data, case, number)
        began = time.perf_counter()
        found = find(one.scout, template, far_infer, near_infer)
        ms = (time.perf_counter() - began) * 1e3
        row = judged(case, one.subject.name, one.snr, anatomy, found, one.truth, ms)
        rows.append(replace(row, number=number))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A scout of a report, and what is true of it."""

    subject: Subject
    scout: Scout
    snr: float
    truth: Truth | None  # None where there is nothing to be found


def taken(data: Path, case: str, number: int, who: str = "") -> Taken:
    """The same scout again whenever it is asked for; `who` is one of STRANGERS in place of a test subject.

    Raises DataError where there is no such head.
    """
    chance = np.random.default_rng([SEED, [*CASES, *BAD, *STRANGERS].index(case), number])
    name = who or (case if case in STRANGERS else "")
    own = known_stranger(name) if name else None
    if name and own is None:
        raise DataError(f"{name} is not there; apt-get install mricron-data")
    heads = subjects(data, "test") if own is None else (own,)
    subject = heads[number % len(heads)]
    lies, scout, snr = scanned(case, subject, chance)
    return Taken(subject, scout, snr, None if lies is None else truth_of(subject, lies))


SCAN: Final[Mapping[str, Callable[[Drawn, float, np.random.Generator], Scout]]] = {
    "3-D": equivalent,
    "3-D, reconstructed": slab,
    "three planes": localizer,
    "any contrast": equivalent,
}
CASES: Final = tuple(SCAN)


def scanned(case: str, subject: Subject, chance: np.random.Generator) -> tuple[HeadPose | None, Scout, float]:
    """A scout of one kind of case; where the head lies, None where there is none to be found."""
    snr = float(chance.uniform(*SNR))
    if case in BAD:
        ranges = Ranges(turn_deg=TURN_DEG, shift_mm=SHIFT_MM, snr=SNR, slices=0.0, spoilt=0.0, fov_mm=(250, 290))
        return None, simulate(subject, chance, ranges, case).scout, snr
    lies = rigid(subject, chance)
    grid: Grid = LOCALIZER if case == "three planes" else SLAB
    drawn = draw_head(subject, grid, lies, chance, own_face=case != FACELESS, natural=case != "any contrast")
    return lies, SCAN.get(case, equivalent)(drawn, snr, chance), snr


def rigid(subject: Subject, chance: np.random.Generator) -> HeadPose:
    """A head as it is, turned about each axis and shifted along each."""
    angles = np.deg2rad(chance.uniform(-TURN_DEG, TURN_DEG, 3))
    shift_mm = chance.uniform(-SHIFT_MM, SHIFT_MM, 3)
    straight = np.zeros((3, CONTROL, CONTROL, CONTROL))
    return HeadPose(turned(angles), shift_mm, np.eye(3) / subject.pose.scale, straight)


@lru_cache(maxsize=len(STRANGERS))
def known_stranger(name: str) -> Subject | None:
    """Of STRANGERS, read once; None where it is not there."""
    return stranger(name)


@lru_cache(maxsize=1)
def finder(name: str, allow_unsigned: bool) -> tuple[Template, Infer, Infer]:  # noqa: FBT001
    """Template and both networks of a model, open as long as the process."""
    model = load_model(name, allow_unsigned=allow_unsigned)
    stack = ExitStack()
    far_infer, near_infer = (
        stack.enter_context(open_engine(model, "openvino", graph=graph, threads=1)) for graph in ("model", "near")
    )
    _OPEN.append(stack)
    return template_of(model), far_infer, near_infer


_OPEN: Final[list[ExitStack]] = []

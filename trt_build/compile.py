"""`scanside-build compile`: every graph of a model for one backend, with progress."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engines.backends import rtx, trt
from engines.backends.interface import Job, refused
from engines.backends.trt_adapter import Adapter
from engines.backends.trt_plan import build_plan, precision_of
from engines.driver import Gpu, gpu
from engines.engine import BACKENDS, job_of, open_engine
from engines.errors import EngineError
from engines.model import Model
from engines.plans import user_plans

__all__ = ["compile_graph", "compile_model"]

ADAPTERS = {"tensorrt": trt.ADAPTER, "tensorrt_rtx": rtx.ADAPTER}


def compile_model(model: Model, backend: str, console: Console, out: Path | None = None) -> None:
    """Build all graphs; plans go into the user's cache where there is a GPU, and into `out` if that is given.

    Raises EngineError for the first graph that cannot be built.
    """
    if backend not in BACKENDS:
        raise EngineError(f"no backend {backend!r}; wanted {', '.join(BACKENDS)}")
    for graph in model.card.graphs:
        started = time.perf_counter()
        with _bar(console, f"{graph} for {backend}") as told:
            kept = compile_graph(model, backend, graph, told, out)
        console.print(f"{graph}: {kept}, {time.perf_counter() - started:.1f} s", highlight=False)


def compile_graph(model: Model, backend: str, graph: str, told: "Told | None" = None, out: Path | None = None) -> str:
    """Build one graph and say what became of it."""
    adapter = ADAPTERS.get(backend)
    if adapter is not None:
        return _plan(model, adapter, graph, told, out)
    with open_engine(model, backend, graph=graph) as engine:
        worst = f"largest error of the test vectors {engine.self_test:.1g}"
        return f"{backend} {engine.version} loads it ({engine.precision}), {worst}"


def _plan(model: Model, adapter: Adapter, graph: str, told: "Told | None", out: Path | None) -> str:
    here = isinstance(gpu(), Gpu)
    if not here and not adapter.builds_anywhere:
        raise EngineError(f"{adapter.name}: {adapter.missing()}; without a GPU build for tensorrt_rtx")
    library = adapter.load()
    told_of_plans: list[str] = []
    plans = user_plans(told_of_plans.append)
    job = replace(job_of(model, graph), plans=plans)
    _unless_refused(model, adapter, library, job)
    precision = precision_of(library, job.precisions)
    plan = build_plan(library, job.onnx, job.graph, precision, told)
    where = "no GPU here, so that it builds is all that is known"
    if here:
        kept = plans.put(adapter.key(library, job), plan)
        where = "kept for this GPU" if kept else "; ".join(told_of_plans)
    if out is not None:
        _write(out / f"{model.card.name}-{graph}-{adapter.name}.plan", plan)
    return f"{adapter.name} {library.__version__}, {precision}, {len(plan) / 2**20:.1f} MiB, {where}"


def _unless_refused(model: Model, adapter: Adapter, library: Any, job: Job) -> None:
    """Raise EngineError where images of this plan were found wrong, and nothing has changed since."""
    reason = refused(job, adapter.key(library, job))
    if reason is not None:
        again = f"scanside-build verify {model.folder} --backend {adapter.name}"
        raise EngineError(
            f"{adapter.name}, {job.name}: {reason}; take another backend, or have it judged again with: {again}"
        )


def _write(path: Path, plan: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plan)
    except OSError as error:
        raise EngineError(f"{path}: cannot be written: {error.strerror}") from error


class Told:
    """Shows the phase that TensorRT is in."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress, self._title = progress, title
        self._task = progress.add_task(title, total=None)

    def __call__(self, phase: str, done: int, total: int) -> None:
        self._progress.update(
            self._task, description=f"{self._title}: {phase}", completed=done, total=total, refresh=False
        )


@contextmanager
def _bar(console: Console, title: str) -> Iterator[Told]:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield Told(progress, title)

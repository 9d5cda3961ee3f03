"""What every backend answers: whether it can work here, and a way to open a graph."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from engines.ahead import Ahead, nothing_ahead
from engines.card import Graph
from engines.plans import Plans

__all__ = ["Backend", "Infer", "Job", "Opened", "Tensors", "first_line", "key_of", "refused"]

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
Infer: TypeAlias = Callable[[Tensors], dict[str, NDArray[Any]]]


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to open, and how."""

    name: str  # of the graph, for messages: MODEL/GRAPH
    onnx: bytes
    graph: Graph
    hash: str  # of the model
    precisions: tuple[str, ...] = ("single",)  # those that were verified; a backend takes the fastest it has
    threads: int = 2
    plans: Plans | None = None  # where compiled plans are kept; None: nowhere
    replay: bool = True  # CUDA graphs where shapes stay
    tell: Callable[[str], None] = field(default=_silent)


@dataclass(frozen=True, slots=True)
class Opened:
    """A graph ready to run. `infer` may be called by several threads; it checks nothing."""

    infer: Infer
    version: str  # of the library
    precision: str  # of the arithmetic: "single", "bf16", "fp16"
    key: Mapping[str, str]  # all that its results depend on
    ahead: Ahead = nothing_ahead  # does beforehand what `infer` would do once with an array that is not written again


class Backend(Protocol):
    """A module of engines/backends."""

    def missing(self) -> str | None:
        """Say why it cannot work here and how to get it, or None; touches no device beyond asking the driver."""

    def open_graph(self, job: Job) -> AbstractContextManager[Opened]:
        """Load the graph on enter, release it on exit; raises EngineError where it cannot be run."""


def key_of(job: Job, backend: str, version: str, options: str) -> dict[str, str]:
    """All that the results of a backend on a CPU depend on."""
    model, _, graph = job.name.partition("/")
    named = {"model": model, "graph": graph, "hash": job.hash, "backend": backend}
    return {**named, "version": version, "options": options}


def refused(job: Job, key: Mapping[str, str]) -> str | None:
    """Say why `scanside-build verify` found the images of this backend wrong, or None."""
    reason = None if job.plans is None else job.plans.refused(key)
    return None if reason is None else f"refused by scanside-build verify: {reason}"


def first_line(error: Exception) -> str:
    """What a library says was wrong, without its stack."""
    return (str(error).strip().splitlines() or [repr(error)])[0]

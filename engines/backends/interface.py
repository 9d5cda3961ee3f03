"""What every backend answers: whether it can work here, and a way to open a graph."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from engines.card import Graph
from engines.plans import Plans

__all__ = ["Backend", "Infer", "Job", "Opened", "Tensors", "first_line"]

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
    multiple: int = 1
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


class Backend(Protocol):
    """A module of engines/backends."""

    def missing(self) -> str | None:
        """Say why it cannot work here and how to get it, or None; touches no device beyond asking the driver."""

    def open_graph(self, job: Job) -> AbstractContextManager[Opened]:
        """Load the graph on enter, release it on exit; raises EngineError where it cannot be run."""


def first_line(error: Exception) -> str:
    """What a library says was wrong, without its stack."""
    return (str(error).strip().splitlines() or [repr(error)])[0]

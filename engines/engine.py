"""One way to run a network, whatever runs it: `with open_engine(model) as engine: engine({"normal": …})`.

Nothing touches a device before `with`. Entering loads the graph, warms it up and compares it with the model's test
vectors; shapes are checked the first time they come.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, cast

from numpy.typing import NDArray

from engines.ahead import Ahead
from engines.backends.interface import Backend, Infer, Job, Opened, Tensors
from engines.errors import EngineError, ModelError
from engines.model import Model
from engines.plans import user_plans
from engines.selftest import self_test
from engines.shapes import check

__all__ = ["BACKENDS", "Engine", "EngineError", "ModelError", "job_of", "open_engine"]

BACKENDS: Final[Mapping[str, str]] = MappingProxyType(
    {  # in the order in which `auto` tries them: the fastest first, measured (engines/README.md)
        "tensorrt": "engines.backends.trt",
        "tensorrt_rtx": "engines.backends.rtx",
        "openvino": "engines.backends.ov",
        "onnxruntime": "engines.backends.ort",
        "reference": "engines.backends.reference",
    }
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A network ready to run, and who runs it. Several threads may call it."""

    model: Model
    graph: str
    backend: str
    version: str  # of the library
    precision: str  # of the arithmetic
    self_test: float  # largest relative error against the test vectors
    why_not: Mapping[str, str]  # backends that `auto` passed over, and why
    ahead: Ahead  # for an inverse that is being made, is then read-only, and comes with many frames
    _infer: Infer
    _seen: set[tuple[tuple[str, tuple[int, ...], str], ...]] = field(default_factory=set)

    def __call__(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """Run the graph: arrays by the names of its inputs in, by those of its outputs out.

        Raises EngineError where shapes or types do not fit, or the library fails.
        """
        shapes = tuple((name, tensor.shape, tensor.dtype.str) for name, tensor in tensors.items())
        if shapes not in self._seen:
            where = f"{self.model.card.name}, graph {self.graph!r}"
            check(where, self.model.graph(self.graph).inputs, tensors, self.model.card.multiple)
            self._seen.add(shapes)
        return self._infer(tensors)


def _silent(_: str) -> None:
    """Tell nobody."""


@contextmanager
def open_engine(
    model: Model,
    backend: str = "auto",
    *,
    graph: str = "model",
    threads: int = 2,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Engine]:
    """Lend a graph of a model, run by one backend; `auto` takes the fastest that works here and tells which.

    Raises EngineError where the backend cannot run it, or its results are not the model's.
    """
    say = tell or _silent
    job = replace(job_of(model, graph), threads=threads, plans=user_plans(say), tell=say)
    with ExitStack() as stack:
        yield _first_that_works(_wanted(backend), model, job, stack)


def job_of(model: Model, graph: str) -> Job:
    """State what is to be opened; raises ModelError for a graph that the model does not have."""
    name = f"{model.card.name}/{graph}"
    return Job(name, model.onnx(graph), model.graph(graph), model.hash, precisions=model.card.precisions)


def _wanted(backend: str) -> tuple[str, ...]:
    if backend == "auto":
        return tuple(name for name in BACKENDS if name != "reference")
    if backend not in BACKENDS:
        raise EngineError(f"no backend {backend!r}; wanted auto, {', '.join(BACKENDS)}")
    return (backend,)


def _first_that_works(names: tuple[str, ...], model: Model, job: Job, stack: ExitStack) -> Engine:
    why_not: dict[str, str] = {}
    for name in names:
        try:
            with ExitStack() as trial:
                opened = trial.enter_context(_module(name).open_graph(job))
                engine = _tested(name, opened, model, job, why_not)
                stack.push(trial.pop_all())
        except EngineError as error:
            why_not[name] = str(error)
        except Exception as error:  # noqa: BLE001 - a library may be installed, and broken in any way
            why_not[name] = f"{type(error).__name__}: {error}"
        else:
            passed = "".join(f"; not {other}: {why}" for other, why in why_not.items())
            job.tell(f"{job.name} runs on {name} {engine.version} ({engine.precision}){passed}")
            return engine
    raise EngineError(f"{job.name}: " + "; ".join(f"{name}: {why}" for name, why in why_not.items()))


def _module(name: str) -> Backend:
    """Import a backend; raises EngineError where it cannot work here."""
    module = cast("Backend", import_module(BACKENDS[name]))
    reason = module.missing()
    if reason is not None:
        raise EngineError(reason)
    return module


def _tested(name: str, opened: Opened, model: Model, job: Job, why_not: Mapping[str, str]) -> Engine:
    graph = job.name.partition("/")[2]
    worst = 0.0 if name == "reference" else self_test(opened.infer, model, graph, opened.precision)
    told = opened.version, opened.precision, worst, dict(why_not)
    return Engine(model, graph, name, *told, opened.ahead, opened.infer)

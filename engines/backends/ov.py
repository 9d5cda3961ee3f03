"""OpenVINO on the CPU: bfloat16 where the processor has it and the model's images were verified in it (ov_bf16.py).

Threads take turns: there is one stream, and none should wait for it inside the library, perhaps with Python's lock,
which the operation wants that the other one is in (ov_solve.py). An inverse that cannot be written
(`array.flags.writeable = False`), as that of a series, is packed once, or part by part while it is being made.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.ahead import nothing_ahead
from engines.backends.interface import Infer, Job, Opened, Tensors, first_line, key_of, refused
from engines.backends.ov_bf16 import lower_convolutions
from engines.backends.ov_layout import flatten_planes, separate_means
from engines.backends.ov_solve import BITS, REACH, own_solves
from engines.errors import EngineError
from engines.linear.packed import Packed, empty_packed, pack

__all__ = ["missing", "open_graph"]

_PRECISIONS: Final = ("bf16", "single")  # the fastest first
_PLACES: Final = ("Exception from ", "Check '", "Node ")  # with which lines of its messages begin that say where
_INVERSE: Final = "inverse"  # the input whose reading takes the time


def missing() -> str | None:
    """Say how to get the library, or None where it is here."""
    return None if find_spec("openvino") else "not installed; get it with: pip install openvino"


@contextmanager
def open_graph(job: Job) -> Iterator[Opened]:
    """Compile the graph for this processor, for one frame as fast as can be."""
    import openvino

    core = openvino.Core()
    release = openvino.__version__.partition("-")[0]
    precision = _precision(job, core, release)
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": job.threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    with ThreadPoolExecutor(max(1, job.threads - 1), "solve") as workers:
        try:
            model = core.read_model(job.onnx)
            ours = precision == "bf16" and own_solves(model, _INVERSE, workers)
            if precision == "bf16":
                lower_convolutions(model)
            flatten_planes(model)
            separate_means(model)
            compiled = core.compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise EngineError(f"openvino cannot load {job.name}: {_said(error)}") from error
        kept = _Kept()
        key = key_of(job, "openvino", release, precision)
        ahead = kept.begin if ours else nothing_ahead
        yield Opened(_inferring(job, compiled, kept if ours else None), release, precision, key, ahead)


def _inferring(job: Job, compiled: Any, kept: "_Kept | None") -> Infer:
    """Run a compiled graph; what it takes of an inverse is `kept`."""
    import openvino

    taken = {name for port in compiled.inputs for name in port.get_names()}  # without inputs that nothing depends on
    request, turn = compiled.create_infer_request(), threading.Lock()

    def infer(tensors: Tensors) -> dict[str, NDArray[Any]]:
        try:
            given = {name: value for name, value in tensors.items() if name in taken}
            if kept is not None:
                packed = kept.of(given.pop(_INVERSE))
                given |= {BITS.format(_INVERSE): packed.numbers.view(np.int32), REACH.format(_INVERSE): packed.reach}
            lent = {
                name: openvino.Tensor(_lent(np.ascontiguousarray(value)), shared_memory=True)
                for name, value in given.items()
            }
            with turn:
                request.infer(lent)
                return {name: request.get_tensor(name).data.copy() for name in job.graph.outputs}
        except (RuntimeError, TypeError, ValueError) as error:
            raise EngineError(f"openvino failed in {job.name}: {_said(error)}") from error

    return infer


def _said(error: Exception) -> str:
    """What the library says was wrong, without where in its sources."""
    said = (line for line in str(error).splitlines() if line.strip() and not line.startswith(_PLACES))
    return next(said, first_line(error))


class _Kept:
    """Packed inverses, for as long as the arrays live."""

    def __init__(self) -> None:
        self._packed: dict[int, Packed] = {}

    def begin(self, inverse: NDArray[Any]) -> Callable[[slice], None]:
        """Pack an array that is still being made, part by part; what is never told stays zero."""
        packed = self._packed[id(inverse)] = empty_packed(len(inverse), inverse.shape[-1])
        weakref.finalize(inverse, self._packed.pop, id(inverse), None).atexit = False
        return lambda part: pack(inverse, packed, part)

    def of(self, inverse: NDArray[Any]) -> Packed:
        """What is packed of an array; one that can be written is packed each time."""
        if inverse.flags.writeable:
            pack(inverse, packed := empty_packed(len(inverse), inverse.shape[-1]))
            return packed
        if id(inverse) not in self._packed:
            self.begin(inverse)(slice(None))
        return self._packed[id(inverse)]


def _lent(array: NDArray[Any]) -> NDArray[Any]:
    """The same memory as an array that could be written: OpenVINO wants that of what it only reads."""
    if array.flags.writeable:
        return array
    interface = {**array.__array_interface__, "data": (array.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, owner=array))


def _precision(job: Job, core: Any, release: str) -> str:
    """The fastest arithmetic that the processor has, the card allows and nobody refused."""
    has = {"single", *(["bf16"] if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else [])}
    reasons = []
    for precision in _PRECISIONS:
        if precision in job.precisions and precision in has:
            reason = refused(job, key_of(job, "openvino", release, precision))
            if reason is None:
                return precision
            reasons.append(f"{precision} {reason}")
    told = "; ".join(reasons) or f"this processor has {', '.join(sorted(has))}"
    raise EngineError(f"openvino, {job.name}: none of {', '.join(job.precisions)} can be used: {told}")

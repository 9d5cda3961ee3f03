"""OpenVINO on the CPU: bfloat16 where the processor has it and the model's images were verified in it (ov_bf16.py).

One infer request for each thread that calls, made when it first does: a request runs one set of tensors at a time. An
input array that cannot be written (`array.flags.writeable = False`), as the inverse of a series, is rounded once, or
part by part while it is being made.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.ahead import nothing_ahead
from engines.backends.interface import Job, Opened, Tensors, first_line, key_of, refused
from engines.backends.ov_bf16 import TWIN, lower_convolutions, lower_products
from engines.backends.ov_layout import flatten_planes, separate_means
from engines.errors import EngineError

__all__ = ["missing", "open_graph"]

_PRECISIONS: Final = ("bf16", "single")  # the fastest first
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
    try:
        model = core.read_model(job.onnx)
        twins = (_INVERSE,) if precision == "bf16" and lower_products(model, _INVERSE) else ()
        if precision == "bf16":
            lower_convolutions(model)
        flatten_planes(model)
        separate_means(model)
        compiled = core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise EngineError(f"openvino cannot load {job.name}: {first_line(error)}") from error
    taken = {name for port in compiled.inputs for name in port.get_names()}  # without inputs that nothing depends on
    own, rounded = threading.local(), _Rounded()

    def infer(tensors: Tensors) -> dict[str, NDArray[Any]]:
        try:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            given = {
                name: openvino.Tensor(_lent(np.ascontiguousarray(value)), shared_memory=True)
                for name, value in tensors.items()
                if name in taken
            }
            given |= {TWIN.format(name): rounded.of(tensors[name]) for name in twins}
            own.request.infer(given)
            return {name: own.request.get_tensor(name).data.copy() for name in job.graph.outputs}
        except (RuntimeError, TypeError, ValueError) as error:
            raise EngineError(f"openvino failed in {job.name}: {first_line(error)}") from error

    yield Opened(
        infer,
        release,
        precision,
        key_of(job, "openvino", release, precision),
        rounded.begin if twins else nothing_ahead,
    )


class _Rounded:
    """Arrays in single precision, rounded to bfloat16 once, for as long as they live."""

    def __init__(self) -> None:
        self._bits: dict[int, NDArray[np.uint16]] = {}

    def begin(self, array: NDArray[Any]) -> Callable[[slice], None]:
        """Round an array that is still being made, part by part; what is never told stays zero."""
        bits = self._bits[id(array)] = _room_for(array)
        weakref.finalize(array, self._bits.pop, id(array), None).atexit = False
        return lambda part: _round(array[part], bits[part])

    def of(self, array: NDArray[Any]) -> Any:
        """Tensor (openvino.Tensor) of an array; one that can be written is rounded each time."""
        import openvino

        if array.flags.writeable:
            _round(array, bits := _room_for(array))
        else:
            if id(array) not in self._bits:
                self.begin(array)(slice(None))
            bits = self._bits[id(array)]
        return openvino.Tensor(bits, openvino.Shape(array.shape), openvino.Type.bf16)


def _room_for(array: NDArray[Any]) -> NDArray[np.uint16]:
    """Room for an array in bfloat16; NumPy's memory comes in large pages, twice as fast as OpenVINO's."""
    return np.zeros(array.shape, np.uint16)


def _round(given: NDArray[np.float32], made: NDArray[np.uint16]) -> None:
    """Round to the nearest bfloat16, ties away from zero, a group at a time."""
    for single, low in zip(given.view(np.uint32), made, strict=True):
        np.right_shift(single + np.uint32(0x8000), 16, out=low, casting="unsafe")


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

"""OpenVINO on the CPU: bfloat16 where the processor has it and the model's images were verified in it.

One infer request for each thread that calls, made when it first does: a request runs one set of tensors at a time.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.interface import Job, Opened, Tensors, first_line
from engines.errors import EngineError

__all__ = ["missing", "open_graph"]


def missing() -> str | None:
    """Say how to get the library, or None where it is here."""
    return None if find_spec("openvino") else "not installed; get it with: pip install 'scanside[openvino]'"


@contextmanager
def open_graph(job: Job) -> Iterator[Opened]:
    """Compile the graph for this processor, for one frame as fast as can be."""
    import openvino

    core = openvino.Core()
    half = "bf16" in job.precisions and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "INFERENCE_NUM_THREADS": job.threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    try:
        compiled = core.compile_model(core.read_model(job.onnx), "CPU", options)
    except RuntimeError as error:
        raise EngineError(f"openvino cannot load {job.name}: {first_line(error)}") from error
    taken = {name for port in compiled.inputs for name in port.get_names()}  # without inputs that nothing depends on
    own = threading.local()

    def infer(tensors: Tensors) -> dict[str, NDArray[Any]]:
        try:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            given = {
                name: openvino.Tensor(np.ascontiguousarray(value), shared_memory=True)
                for name, value in tensors.items()
                if name in taken
            }
            own.request.infer(given)
            return {name: own.request.get_tensor(name).data.copy() for name in job.graph.outputs}
        except RuntimeError as error:
            raise EngineError(f"openvino failed in {job.name}: {first_line(error)}") from error

    yield Opened(infer, openvino.__version__.partition("-")[0], "bf16" if half else "single")

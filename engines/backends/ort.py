"""ONNX Runtime on the CPU.

Its threads must not spin while they wait (allow_spinning = 0): on two cores that took 29 ms to 107 ms.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from numpy.typing import NDArray

from engines.backends.interface import Job, Opened, Tensors, first_line, key_of, refused
from engines.errors import EngineError

__all__ = ["missing", "open_graph"]


def missing() -> str | None:
    """Say how to get the library, or None where it is here."""
    return None if find_spec("onnxruntime") else "not installed; get it with: pip install 'scanside[onnxruntime]'"


@contextmanager
def open_graph(job: Job) -> Iterator[Opened]:
    """Load the graph into a session of its own threads."""
    import onnxruntime

    key = key_of(job, "onnxruntime", onnxruntime.__version__, "single")
    reason = refused(job, key)
    if reason is not None:
        raise EngineError(f"onnxruntime, {job.name}: {reason}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(job.onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"onnxruntime cannot load {job.name}: {first_line(error)}") from error
    outputs = list(job.graph.outputs)

    def infer(tensors: Tensors) -> dict[str, NDArray[Any]]:
        try:
            return dict(zip(outputs, session.run(outputs, dict(tensors)), strict=True))
        except Exception as error:
            raise EngineError(f"onnxruntime failed in {job.name}: {first_line(error)}") from error

    yield Opened(infer, onnxruntime.__version__, "single", key)

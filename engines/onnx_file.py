"""What an ONNX file says of itself, read without any ONNX package: opset, names of inputs and outputs, bad weights.

Only the few fields needed of the messages ModelProto, GraphProto and TensorProto (onnx.proto).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import ModelError
from engines.onnx_wire import fields_of, messages, name_of, only

__all__ = ["OnnxFile", "read_onnx"]

_FLOAT: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
}  # TensorProto.data_type


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """The interface of a graph."""

    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    not_finite: tuple[str, ...]  # weights with NaN or infinity
    elsewhere: tuple[str, ...]  # weights kept outside the file


def read_onnx(content: bytes, where: str) -> OnnxFile:
    """Read the interface of an ONNX file; raises ModelError where it is not one, or is cut short."""
    try:
        model = list(fields_of(memoryview(content)))
        graph = list(fields_of(only(model, 7)))
        opsets = [dict(fields_of(entry)) for entry in messages(model, 8)]
        weights = [_weight(tensor) for tensor in messages(graph, 5)]
        initialised = {name for name, _, _ in weights}
        inputs = tuple(name for name in map(name_of, messages(graph, 11)) if name not in initialised)
        outputs = tuple(map(name_of, messages(graph, 12)))
        plain = [int(str(entry.get(2, 0))) for entry in opsets if not entry.get(1)]
    except (ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{where}: not a whole ONNX file ({error}); fetch it again, or export it with: scanside-build export"
        ) from error
    bad = tuple(name for name, finite, _ in weights if not finite)
    return OnnxFile(max(plain, default=0), inputs, outputs, bad, tuple(name for name, _, away in weights if away))


def _weight(tensor: memoryview) -> tuple[str, bool, bool]:
    """Name, whether all values are finite, whether they lie outside the file."""
    fields = list(fields_of(tensor))
    numbers = dict(fields)
    kind = _FLOAT.get(int(str(numbers.get(2, 0))))
    finite = True
    for number, packed in ((4, np.dtype("<f4")), (9, kind)):
        for values in messages(fields, number) if packed is not None else ():
            finite &= bool(np.isfinite(np.frombuffer(values, packed)).all())
    return name_of(tensor, 8), finite, 13 in numbers

"""What an ONNX file says of itself, read without any ONNX package: opset, names of inputs and outputs, bad weights.

Only the few fields needed of the protocol-buffer messages ModelProto, GraphProto and TensorProto (onnx.proto).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import ModelError

__all__ = ["OnnxFile", "read_onnx"]

Field = tuple[int, int | memoryview]
_WIDTH = {1: 8, 5: 4}  # wire types of fixed width
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
        model = list(_fields(memoryview(content)))
        graph = list(_fields(_last(model, 7)))
        opsets = [dict(_fields(entry)) for entry in _messages(model, 8)]
        weights = [_weight(tensor) for tensor in _messages(graph, 5)]
        initialised = {name for name, _, _ in weights}
        inputs = tuple(name for name in map(_name, _messages(graph, 11)) if name not in initialised)
        outputs = tuple(map(_name, _messages(graph, 12)))
    except (ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{where}: not a whole ONNX file ({error}); fetch it again, or export it with: scanside-build export"
        ) from error
    plain = [int(str(entry.get(2, 0))) for entry in opsets if not bytes(_view(entry.get(1, memoryview(b""))))]
    bad = tuple(name for name, finite, _ in weights if not finite)
    return OnnxFile(max(plain, default=0), inputs, outputs, bad, tuple(name for name, _, away in weights if away))


def _fields(view: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(view, at)
        elif wire in _WIDTH:
            length = _WIDTH[wire]
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + length > len(view):
            raise ValueError(f"{len(view) - at} bytes are left where {length} were announced")
        yield key >> 3, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError(f"a number does not end at byte {at}")
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where a message was wanted")
    return value


def _messages(fields: list[Field], number: int) -> Iterator[memoryview]:
    return (_view(value) for key, value in fields if key == number)


def _last(fields: list[Field], number: int) -> memoryview:
    found = list(_messages(fields, number))
    if not found:
        raise ValueError("it holds no graph")
    return found[-1]


def _name(entry: memoryview) -> str:
    return str(_last(list(_fields(entry)), 1), "utf-8")


def _weight(tensor: memoryview) -> tuple[str, bool, bool]:
    """Name, whether all values are finite, whether they lie outside the file."""
    fields = list(_fields(tensor))
    numbers = dict(fields)
    kind = _FLOAT.get(int(str(numbers.get(2, 0))))
    finite = True
    for key, value in fields:
        packed: np.dtype[Any] | None = np.dtype("<f4") if key == 4 else kind if key == 9 else None
        if packed is not None:
            finite &= bool(np.isfinite(np.frombuffer(_view(value), packed)).all())
    return str(_view(numbers.get(8, memoryview(b""))), "utf-8"), finite, 13 in numbers

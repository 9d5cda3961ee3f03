"""The vocabulary to bytes: buffers to hand to `socket.sendmsg`, in order."""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from protocols import mrd
from protocols.decode import readout_layout
from protocols.errors import LocalError
from protocols.messages import (
    Blob,
    Close,
    Config,
    Error,
    Feedback,
    Header,
    Image,
    Message,
    Query,
    Readouts,
    Response,
    Text,
    Waveforms,
)
from protocols.meta import write_meta
from protocols.mrd import MessageId

__all__ = ["Buffers", "encode", "kind_of"]

Buffers: TypeAlias = list[bytes | memoryview]

_ID = struct.Struct("<H")
_TEXT = struct.Struct("<HI")
_LONG = struct.Struct("<HQ")
_QUERY = struct.Struct("<HQQQ")
_RESPONSE = struct.Struct("<HQQ")
_LENGTH32 = struct.Struct("<I")
_LENGTH64 = struct.Struct("<Q")

_KIND: Final[Mapping[type, MessageId]] = MappingProxyType(
    {
        Header: MessageId.HEADER,
        Close: MessageId.CLOSE,
        Text: MessageId.TEXT,
        Query: MessageId.QUERY,
        Response: MessageId.RESPONSE,
        Error: MessageId.ERROR,
        Readouts: MessageId.ACQUISITION,
        Image: MessageId.IMAGE,
        Waveforms: MessageId.WAVEFORM,
        Feedback: MessageId.FEEDBACK,
    }
)


def kind_of(message: Message) -> MessageId:
    """The id under which a message travels; raises LocalError where it never does."""
    if isinstance(message, Config):
        return MessageId.CONFIG_FILE if message.is_name else MessageId.CONFIG_TEXT
    if isinstance(message, Blob):
        return _known(message.id)
    if type(message) not in _KIND:
        names = ", ".join(kind.__name__ for kind in (*_KIND, Config, Blob))
        raise LocalError(f"{type(message).__name__} has no place on the wire; what travels is {names}")
    return _KIND[type(message)]


def encode(message: Message, *, nul: bool = False) -> Buffers:
    """Buffers that make up one message (Readouts: one message a readout), valid while its arrays are not written to.

    With `nul`, CONFIG_TEXT, HEADER and TEXT end in a NUL that is counted, as FIRE servers send it; Gadgetron has none.
    Raises LocalError for a message that does not travel, or that MRD cannot express.
    """
    kind = kind_of(message)
    if isinstance(message, Blob):
        return [_ID.pack(kind), message.body]
    if kind in _WITH_NUL:
        octets = _WITH_NUL[kind](message).encode("utf-8", "replace") + b"\0" * nul
        return [_TEXT.pack(kind, _fits(kind, len(octets), 32)) + octets]
    return _WRITE[kind](message)


def _records(batch: Readouts) -> np.ndarray[Any, np.dtype[np.void]]:
    """Readouts as one contiguous array of protocols.decode.readout_layout, sizes in the headers set from the arrays."""
    count, coils, samples = batch.samples.shape
    if batch.headers.shape != (count,) or batch.trajectory.shape[:2] != (count, samples):
        raise LocalError(
            f"Readouts: headers {batch.headers.shape}, trajectory {batch.trajectory.shape} and samples "
            f"{batch.samples.shape}; wanted (readout,), (readout, sample, dimension) and (readout, coil, sample)"
        )
    dimensions = batch.trajectory.shape[2]
    if not samples or not coils or max(samples, coils, dimensions) > 0xFFFF:
        raise LocalError(f"Readouts: samples {batch.samples.shape}; MRD has 1 to 65535 coils and samples")
    records = np.empty(count, readout_layout(samples, coils, dimensions))
    records["id"] = MessageId.ACQUISITION
    headers = records["header"]
    headers[...] = batch.headers
    headers["number_of_samples"] = samples
    headers["active_channels"] = coils
    headers["trajectory_dimensions"] = dimensions
    records["trajectory"] = batch.trajectory
    records["samples"] = batch.samples
    return records


def _known(number: int) -> MessageId:
    try:
        return MessageId(number)
    except ValueError:
        raise LocalError(f"Blob: message id {number} is not one of MRD's") from None


def _octets(array: np.ndarray[Any, Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fits(kind: MessageId, length: int, bits: int) -> int:
    if length >> bits:
        raise LocalError(f"{kind.name}: {length} bytes; its length field holds {bits} bits")
    return length


def _config_file(message: Config) -> Buffers:
    octets = message.text.encode()
    if len(octets) > 1023 or b"\0" in octets:
        raise LocalError(f"CONFIG_FILE: a name of {len(octets)} bytes; at most 1023 without NUL fit, send text instead")
    return [_ID.pack(MessageId.CONFIG_FILE) + octets.ljust(1024, b"\0")]


def _long_text(head: struct.Struct, *fields: int, text: str) -> Buffers:
    octets = text.encode("utf-8", "replace")
    return [head.pack(*fields, len(octets)) + octets]


def _feedback(message: Feedback) -> Buffers:
    name = message.name.encode() + b"\0"
    length = _LENGTH32.pack(_fits(MessageId.FEEDBACK, len(message.data), 32))
    return [_TEXT.pack(MessageId.FEEDBACK, len(name)) + name + length, message.data]


def _image(message: Image) -> Buffers:
    pixels = np.ascontiguousarray(message.pixels)
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    kind = mrd.TYPE_OF.get(pixels.dtype)
    if kind is None or pixels.ndim != 4 or not pixels.size or max(pixels.shape) > 0xFFFF:
        known = ", ".join(dtype.name for dtype in mrd.TYPE_OF)
        raise LocalError(f"Image: pixels {pixels.dtype}{pixels.shape}; wanted (channel, z, y, x) of one of {known}")
    meta = write_meta(message.meta)
    head = np.empty(1, mrd.IMAGE)
    head[0] = message.header
    head["data_type"] = kind
    head["channels"] = pixels.shape[0]
    head["matrix_size"] = pixels.shape[:0:-1]
    head["attribute_string_len"] = len(meta)
    return [_ID.pack(MessageId.IMAGE) + head.tobytes() + _LENGTH64.pack(len(meta)) + meta, _octets(pixels)]


def _waveform(message: Waveforms) -> Buffers:
    samples = np.ascontiguousarray(message.samples, "<u4")
    if samples.ndim != 2 or max(samples.shape) > 0xFFFF:
        raise LocalError(f"Waveforms: samples {samples.shape}; wanted (trace, sample), each at most 65535")
    head = np.zeros(1, mrd.WAVEFORM)
    head[0] = message.header
    head["channels"], head["number_of_samples"] = samples.shape
    return [_ID.pack(MessageId.WAVEFORM) + head.tobytes() + samples.tobytes()]


_WITH_NUL: Final[Mapping[MessageId, Callable[[Any], str]]] = MappingProxyType(
    {
        MessageId.CONFIG_TEXT: lambda message: message.text,
        MessageId.HEADER: lambda message: message.xml,
        MessageId.TEXT: lambda message: message.text,
    }
)
_WRITE: Final[Mapping[MessageId, Callable[[Any], Buffers]]] = MappingProxyType(
    {
        MessageId.CONFIG_FILE: _config_file,
        MessageId.CLOSE: lambda _: [_ID.pack(MessageId.CLOSE)],
        MessageId.QUERY: lambda query: _long_text(_QUERY, MessageId.QUERY, 0, query.correlation, text=query.key),
        MessageId.RESPONSE: lambda answer: _long_text(
            _RESPONSE, MessageId.RESPONSE, answer.correlation, text=answer.text
        ),
        MessageId.ERROR: lambda error: _long_text(_LONG, MessageId.ERROR, text=error.text),
        MessageId.ACQUISITION: lambda batch: [_octets(_records(batch))],
        MessageId.IMAGE: _image,
        MessageId.WAVEFORM: _waveform,
        MessageId.FEEDBACK: _feedback,
    }
)

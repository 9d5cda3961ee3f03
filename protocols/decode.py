"""Bodies of whole messages to the vocabulary; readouts in batches, which copy nothing."""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols import mrd
from protocols.errors import PeerError
from protocols.measure import COMPRESSED, Cursor, Window, image_shape, readout_size
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
from protocols.meta import parse_meta
from protocols.mrd import MessageId

__all__ = ["READOUT_HEAD", "decode", "readout_layout", "run_of_readouts"]

_HEAD = struct.Struct("<H2xQ24xH2xH136xH")  # id, flags, number_of_samples, active_channels, trajectory_dimensions
READOUT_HEAD: Final = _HEAD.size  # bytes of an acquisition that tell its layout
_ACQUISITION: Final = MessageId.ACQUISITION.value


@lru_cache(maxsize=256)
def readout_layout(samples: int, coils: int, dimensions: int) -> np.dtype[np.void]:
    """Acquisition as it lies on the wire: id, header, trajectory (sample, dimension), samples (coil, sample)."""
    return np.dtype(
        [
            ("id", "<u2"),
            ("header", mrd.ACQUISITION),
            ("trajectory", "<f4", (samples, dimensions)),
            ("samples", "<c8", (coils, samples)),
        ]
    )


def run_of_readouts(
    store: NDArray[np.uint8], start: int, end: int, limit: int, arrived_ns: int
) -> tuple[int, Readouts | None]:
    """All acquisitions of one layout that lie complete between start and end, as one view.

    The number is the bytes they take, or, where not even one is complete, the bytes of one.
    Raises PeerError for samples that are compressed or missing, and for one acquisition above the limit.
    """
    octets = store.data
    _, flags, samples, coils, dimensions = _HEAD.unpack_from(octets, start)
    size = readout_size(flags, samples, coils, dimensions)
    if size > min(end - start, limit):
        return size, None
    stop = start + size
    while stop + size <= end and _same(_HEAD.unpack_from(octets, stop), samples, coils, dimensions):
        stop += size
    records = np.ndarray((stop - start) // size, readout_layout(samples, coils, dimensions), store, start)
    return stop - start, Readouts(records["header"], records["trajectory"], records["samples"], arrived_ns)


def _same(head: tuple[int, ...], samples: int, coils: int, dimensions: int) -> bool:
    """Tell whether a record continues a run; record by record, as a batch is what one recv brought: ten or so."""
    kind, flags, *_ = head
    return kind == _ACQUISITION and not flags & COMPRESSED and head[2:] == (samples, coils, dimensions)


def decode(kind: MessageId, window: Window) -> Message:
    """One whole message of any kind but ACQUISITION, id included, which is copied out of the window.

    Raises PeerError where text is not UTF-8.
    """
    return _READ.get(kind, _blob)(window)


def _utf8(kind: MessageId, octets: bytes) -> str:
    try:
        return octets.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        found = octets[error.start : error.start + 4].hex(" ")
        raise PeerError(f"{kind.name}: byte {error.start} is not UTF-8 (found {found}); UTF-8 was wanted") from None


def _text(kind: MessageId, window: Window) -> str:
    """Text after a 32-bit length, with or without a NUL at its end."""
    return _utf8(kind, bytes(window[6:]))


def _long_text(kind: MessageId, window: Window, at: int) -> str:
    """Text after a 64-bit length."""
    return _utf8(kind, bytes(window[at + 8 :]))


def _config_file(window: Window) -> Config:
    name = bytes(window[2:]).partition(b"\0")[0]
    return Config(_utf8(MessageId.CONFIG_FILE, name), is_name=True)


def _query(window: Window) -> Query:
    correlation = int.from_bytes(window[10:18], "little")
    return Query(correlation, _long_text(MessageId.QUERY, window, 18))


def _response(window: Window) -> Response:
    correlation = int.from_bytes(window[2:10], "little")
    return Response(correlation, _long_text(MessageId.RESPONSE, window, 10))


def _feedback(window: Window) -> Feedback:
    cursor = Cursor(window)
    begin, end = (cursor.skip(cursor.u32()), cursor.at)
    name = _utf8(MessageId.FEEDBACK, bytes(window[begin:end]))
    return Feedback(name, bytes(window[cursor.skip(4) + 4 :]))


def _image(window: Window) -> Image:
    cursor = Cursor(window)
    header = np.frombuffer(window, mrd.IMAGE, 1, cursor.skip(mrd.IMAGE.itemsize))[0].copy()
    shape = image_shape(header)
    begin, end = (cursor.skip(cursor.u64()), cursor.at)
    meta = parse_meta(_utf8(MessageId.IMAGE, bytes(window[begin:end])))
    pixels = np.frombuffer(window, mrd.DTYPE_OF[int(header["data_type"])], prod(shape), end)
    return Image(header, pixels.reshape(shape).copy(), meta)


def _waveform(window: Window) -> Waveforms:
    header = np.frombuffer(window, mrd.WAVEFORM, 1, 2)[0].copy()
    samples = np.frombuffer(window, "<u4", offset=2 + mrd.WAVEFORM.itemsize)
    return Waveforms(header, samples.reshape(int(header["channels"]), int(header["number_of_samples"])).copy())


def _blob(window: Window) -> Blob:
    return Blob(int.from_bytes(window[:2], "little"), bytes(window[2:]))


_READ: Final[Mapping[MessageId, Callable[[Window], Message]]] = MappingProxyType(
    {
        MessageId.CONFIG_FILE: _config_file,
        MessageId.CONFIG_TEXT: lambda window: Config(_text(MessageId.CONFIG_TEXT, window), is_name=False),
        MessageId.HEADER: lambda window: Header(_text(MessageId.HEADER, window)),
        MessageId.CLOSE: lambda _: Close(),
        MessageId.TEXT: lambda window: Text(_text(MessageId.TEXT, window)),
        MessageId.QUERY: _query,
        MessageId.RESPONSE: _response,
        MessageId.ERROR: lambda window: Error(_long_text(MessageId.ERROR, window, 2)),
        MessageId.IMAGE: _image,
        MessageId.WAVEFORM: _waveform,
        MessageId.FEEDBACK: _feedback,
    }
)

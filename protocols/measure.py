"""How long a message is, told from as much of it as has arrived."""

import struct
from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from protocols import mrd
from protocols.errors import PeerError
from protocols.mrd import MessageId

__all__ = ["COMPRESSED", "Cursor", "Window", "image_shape", "kind_at", "measure", "readout_size"]

Window: TypeAlias = memoryview

_ELEMENTS = 1 << 20  # no list inside a message is longer than this
_SAMPLING_DESCRIPTION = 56  # gadgetron.types.recon_data.SamplingDescription
_BUCKET_META = struct.Struct("<13Q")  # counts and byte counts of data, reference, their statistics and waveforms
_STATISTICS = 9  # sets of counters in a bucket's statistics
_KNOWN = ", ".join(f"{kind.value} {kind.name}" for kind in MessageId)
COMPRESSED: Final = int(mrd.flag_mask(mrd.AcqFlag.COMPRESSION1, mrd.AcqFlag.COMPRESSION2))


class _Short(Exception):  # noqa: N818 - not an error: the walk needs more bytes to go on
    def __init__(self, needed: int) -> None:
        self.needed = needed


class Cursor:
    """Walk through the fields of a message; `at` is where the next one begins."""

    def __init__(self, window: Window, at: int = 2) -> None:
        self.window = window
        self.at = at

    def skip(self, count: int) -> int:
        """Step over bytes that need not be there yet; returns where they begin."""
        begin = self.at
        self.at += count
        return begin

    def take(self, count: int) -> int:
        """Step over bytes that must be there to go on; returns where they begin."""
        begin = self.skip(count)
        if self.at > len(self.window):
            raise _Short(self.at)
        return begin

    def u16(self) -> int:
        """Read two bytes."""
        return int.from_bytes(self.window[self.take(2) : self.at], "little")

    def u32(self) -> int:
        """Read four bytes."""
        return int.from_bytes(self.window[self.take(4) : self.at], "little")

    def u64(self) -> int:
        """Read eight bytes."""
        return int.from_bytes(self.window[self.take(8) : self.at], "little")

    def count(self) -> int:
        """Read the length of a list, refusing what no list in MRD can have."""
        number = self.u64()
        if number > _ELEMENTS:
            raise PeerError(f"a list of {number} elements inside a message; at most {_ELEMENTS} can be right")
        return number

    def shape(self) -> tuple[int, ...]:
        """Read the dimensions of an array."""
        return tuple(self.u64() for _ in range(self.count()))


def kind_at(window: Window) -> MessageId:
    """Name the message that begins here, or say which would have been known."""
    number = int.from_bytes(window[:2], "little")
    try:
        return MessageId(number)
    except ValueError:
        raise PeerError(f"message id {number} is not known; known are {_KNOWN}") from None


def measure(window: Window) -> int:
    """Bytes of the message that begins here, id included.

    A number greater than len(window) says how many bytes must have come before more can be said.
    """
    if len(window) < 2:
        return 2
    kind = kind_at(window)
    walk = _WALKS.get(kind)
    if walk is None:
        raise PeerError(
            f"message {kind.value} {kind.name} came, but nothing tells its length; switch it off at the peer"
        )
    cursor = Cursor(window)
    try:
        walk(cursor)
    except _Short as short:
        return short.needed
    except PeerError as error:
        raise PeerError(f"{kind.name}: {error}") from None
    return cursor.at


def readout_size(flags: int, samples: int, coils: int, dimensions: int) -> int:
    """Bytes of one acquisition, id included.

    Raises PeerError where the samples are compressed or there are none.
    """
    if flags & COMPRESSED:
        raise PeerError(
            "ACQUISITION: the samples are compressed (flag 53 or 54), which is not supported; "
            "switch compression off at the client (gadgetron_ismrmrd_client without -P, -T, -Z)"
        )
    if not samples or not coils:
        raise PeerError(f"ACQUISITION: {samples} samples of {coils} coils; at least one of each was wanted")
    return 2 + mrd.ACQUISITION.itemsize + 4 * samples * dimensions + 8 * samples * coils


def image_shape(header: np.void) -> tuple[int, int, int, int]:
    """(channel, z, y, x) of the pixels that follow an image header; raises PeerError where one is zero."""
    x, y, z = (int(n) for n in header["matrix_size"])
    shape = (int(header["channels"]), z, y, x)
    if not all(shape):
        raise PeerError(f"matrix {x} x {y} x {z} with {shape[0]} channels; at least one of each was wanted")
    return shape


def _of(known: Mapping[int, np.dtype[np.generic]], number: int) -> int:
    if number not in known:
        raise PeerError(f"data type {number} is not known; known are {', '.join(map(str, known))}")
    return known[number].itemsize


def _nothing(cursor: Cursor) -> None:
    del cursor


def _config_file(cursor: Cursor) -> None:
    cursor.skip(1024)


def _text(cursor: Cursor) -> None:
    cursor.skip(cursor.u32())


def _long_text(cursor: Cursor) -> None:
    cursor.skip(cursor.u64())


def _query(cursor: Cursor) -> None:
    cursor.skip(16)
    _long_text(cursor)


def _response(cursor: Cursor) -> None:
    cursor.skip(8)
    _long_text(cursor)


def _feedback(cursor: Cursor) -> None:
    _text(cursor)
    _text(cursor)


def _acquisition(cursor: Cursor) -> None:
    head = np.frombuffer(cursor.window, mrd.ACQUISITION, 1, cursor.take(mrd.ACQUISITION.itemsize))[0]
    names = ("flags", "number_of_samples", "active_channels", "trajectory_dimensions")
    cursor.at = readout_size(*(int(head[name]) for name in names))


def _image(cursor: Cursor) -> None:
    header = np.frombuffer(cursor.window, mrd.IMAGE, 1, cursor.take(mrd.IMAGE.itemsize))[0]
    pixel = _of(mrd.DTYPE_OF, int(header["data_type"]))
    pixels = prod(image_shape(header))
    _long_text(cursor)
    cursor.skip(pixel * pixels)


def _waveform(cursor: Cursor) -> None:
    header = np.frombuffer(cursor.window, mrd.WAVEFORM, 1, cursor.take(mrd.WAVEFORM.itemsize))[0]
    cursor.skip(4 * int(header["channels"]) * int(header["number_of_samples"]))


def _dicom(cursor: Cursor) -> None:
    _text(cursor)
    _long_text(cursor)
    _long_text(cursor)


def _ndarray(cursor: Cursor) -> None:
    kind = cursor.u16()
    cursor.skip(2)
    shape = tuple(cursor.u64() for _ in range(cursor.u16()))
    cursor.skip(_of(mrd.DTYPE_OF, kind) * prod(shape))


def _array(cursor: Cursor, itemsize: int) -> None:
    shape = cursor.shape()
    cursor.skip(itemsize * prod(shape) if shape else 0)


def _optional(cursor: Cursor, walk: Callable[[Cursor], None]) -> None:
    if cursor.window[cursor.take(1)]:
        walk(cursor)


def _acquisition_headers(cursor: Cursor) -> None:
    _array(cursor, mrd.ACQUISITION.itemsize)


def _recon_buffer(cursor: Cursor) -> None:
    _array(cursor, 8)
    for _ in ("trajectory", "density"):
        _optional(cursor, lambda inner: _array(inner, 4))
    _acquisition_headers(cursor)
    cursor.skip(_SAMPLING_DESCRIPTION)


def _recondata(cursor: Cursor) -> None:
    for _ in range(cursor.count()):
        _recon_buffer(cursor)
        _optional(cursor, _recon_buffer)


def _waveforms(cursor: Cursor) -> None:
    for _ in range(cursor.count()):
        _waveform(cursor)


def _image_array(cursor: Cursor) -> None:
    _array(cursor, 8)
    _array(cursor, mrd.IMAGE.itemsize)
    for _ in range(cursor.count()):
        _long_text(cursor)
    _optional(cursor, _waveforms)
    _optional(cursor, _acquisition_headers)


def _acquisitions(cursor: Cursor, count: int) -> None:
    begin = cursor.take(mrd.ACQUISITION.itemsize * count)
    heads = np.frombuffer(cursor.window, mrd.ACQUISITION, count, begin)
    samples, coils, dimensions = (
        heads[name].astype(np.uint64) for name in ("number_of_samples", "active_channels", "trajectory_dimensions")
    )
    cursor.skip(int((4 * samples * dimensions + 8 * samples * coils).sum()))


def _statistics(cursor: Cursor) -> None:
    for _ in range(_STATISTICS * cursor.count()):
        cursor.skip(2 * cursor.count())


def _bucket(cursor: Cursor) -> None:
    meta = _BUCKET_META.unpack_from(cursor.window, cursor.take(_BUCKET_META.size))
    for count in (meta[0], meta[4]):
        _acquisitions(cursor, count)
        _statistics(cursor)
    begin = cursor.take(mrd.WAVEFORM.itemsize * meta[10])
    heads = np.frombuffer(cursor.window, mrd.WAVEFORM, meta[10], begin)
    cursor.skip(int((4 * heads["channels"].astype(np.uint64) * heads["number_of_samples"]).sum()))


_WALKS: Final[Mapping[MessageId, Callable[[Cursor], None]]] = MappingProxyType(
    {
        MessageId.CONFIG_FILE: _config_file,
        MessageId.CONFIG_TEXT: _text,
        MessageId.HEADER: _text,
        MessageId.CLOSE: _nothing,
        MessageId.TEXT: _text,
        MessageId.QUERY: _query,
        MessageId.RESPONSE: _response,
        MessageId.ERROR: _long_text,
        MessageId.ACQUISITION: _acquisition,
        MessageId.DICOM_WITHNAME: _dicom,
        MessageId.IMAGE: _image,
        MessageId.RECONDATA: _recondata,
        MessageId.IMAGE_ARRAY: _image_array,
        MessageId.WAVEFORM: _waveform,
        MessageId.FEEDBACK: _feedback,
        MessageId.NDARRAY: _ndarray,
        MessageId.BUCKET: _bucket,
    }
)

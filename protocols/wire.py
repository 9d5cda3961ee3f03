"""Bytes to messages without a socket: one reusable buffer, readouts in batches."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from protocols.decode import READOUT_HEAD, decode, run_of_readouts
from protocols.errors import LocalError, PeerError, Vanished
from protocols.measure import kind_at, measure
from protocols.messages import Close, Message
from protocols.mrd import MessageId

__all__ = ["Receiver", "receive"]

_ACQUISITION = MessageId.ACQUISITION.to_bytes(2, "little")
_LARGEST = (1 << 31) - 1  # NumPy counts the bytes of a record in 31 bits
_BEGIN = 2  # of what is in the buffer: there the 342 bytes before a readout's samples leave these aligned


class Receiver:
    """Cut a byte stream into messages, wherever the network cut it.

    Fill `space()`, say how much with `filled()`, take `messages()`. Headers, trajectory and samples of Readouts are
    views into the buffer and valid until the next message is asked for; all other messages are copies.
    """

    def __init__(self, capacity: int = 1 << 20, limit: int = 1 << 30) -> None:
        """Start with `capacity` bytes and let the buffer grow to `limit` bytes for a message that needs it."""
        if not 1024 <= capacity <= limit <= _LARGEST:
            raise LocalError(f"Receiver: capacity {capacity}, limit {limit}; wanted 1024 <= capacity <= limit < 2^31")
        self._capacity = capacity
        self._limit = limit
        self._store = np.empty(_BEGIN + capacity, np.uint8)
        self._view = self._store.data
        self._start = _BEGIN  # of what is not parsed yet
        self._end = _BEGIN
        self._wanted = 2  # bytes from _start on without which there is nothing to parse
        self._arrived_ns = 0

    def space(self) -> memoryview:
        """Room for what arrives next, never empty; views that were given out are no longer valid.

        Raises LocalError where complete messages have not been taken yet.
        """
        held = self._end - self._start
        if self._start > _BEGIN:
            self._view[_BEGIN : _BEGIN + held] = self._view[self._start : self._end]
            self._start, self._end = _BEGIN, _BEGIN + held
        room = max(self._capacity, self._wanted)  # a buffer that once grew is used from its beginning, for the cache
        if held >= room:
            raise LocalError("Receiver: space() before messages() were taken")
        if self._end == len(self._store):
            self._grow()
        return self._view[self._end : _BEGIN + room]

    def filled(self, count: int) -> None:
        """Say how many bytes were written to the last `space()`."""
        if not 0 < count <= len(self._store) - self._end:
            raise LocalError(f"Receiver: filled({count}) with {len(self._store) - self._end} bytes of space")
        self._end += count
        self._arrived_ns = time.monotonic_ns()

    def messages(self) -> Iterator[Message]:
        """Yield every message that is complete; raises PeerError for what cannot be a message."""
        while self._end - self._start >= self._wanted:
            size, message = self._next()
            if message is None:
                self._want(size)
                continue
            self._start += size
            self._wanted = 2
            yield message

    def end(self) -> None:
        """The peer sends no more; raises Vanished where it stopped inside a message."""
        held = self._end - self._start
        if held == 1:
            raise Vanished("the stream ended after the first of the two bytes of a message id")
        if held:
            kind = kind_at(self._view[self._start : self._end]).name
            raise Vanished(f"the stream ended inside {kind}: {held} of at least {self._wanted} bytes had come")

    def _next(self) -> tuple[int, Message | None]:
        """The next message and its size, or only the bytes that must be there to tell more."""
        start, end = self._start, self._end
        if self._view[start : start + 2] == _ACQUISITION:
            if end - start < READOUT_HEAD:
                return READOUT_HEAD, None
            return run_of_readouts(self._store, start, end, self._limit, self._arrived_ns)
        window = self._view[start:end]
        size = measure(window)
        if size > len(window):
            return size, None
        return size, decode(kind_at(window), window[:size])

    def _want(self, size: int) -> None:
        if size > self._limit:
            kind = kind_at(self._view[self._start : self._end]).name
            raise PeerError(f"{kind}: its length fields ask for {size} bytes; at most {self._limit} are accepted")
        self._wanted = size

    def _grow(self) -> None:
        """Make room for the message at hand, but never for much more than has already come of it."""
        store = np.empty(min(2 * len(self._store), _BEGIN + self._wanted), np.uint8)
        store[: self._end] = self._store[: self._end]
        self._store, self._view = store, store.data


def receive(recv_into: Callable[[memoryview], int], receiver: Receiver) -> Iterator[Message]:
    """Yield messages from a blocking `recv_into` up to and including Close.

    Raises Vanished where the peer leaves without CLOSE, after all that came complete; PeerError for a broken message.
    """
    while True:
        for message in receiver.messages():
            yield message
            if isinstance(message, Close):
                return
        try:
            count = recv_into(receiver.space())
        except ConnectionError as error:
            receiver.end()
            raise Vanished(f"the connection broke without CLOSE: {error}") from error
        if not count:
            receiver.end()
            raise Vanished("the peer closed the connection without CLOSE")
        receiver.filled(count)

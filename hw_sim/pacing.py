"""When each readout leaves, and how readouts are made ready before that."""

from collections.abc import Iterable, Iterator
from itertools import chain
from threading import Thread
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.channel import Channel
from protocols.messages import Message, Readouts

__all__ = ["AHEAD_MIB", "ahead", "at_once", "every", "recorded", "singly"]

AHEAD_MIB: Final = 400  # readouts made ready before the first one leaves


def _size(batch: Message) -> int:
    return batch.samples.nbytes if isinstance(batch, Readouts) else 0


def ahead(batches: Iterator[Message], limit_mib: float = AHEAD_MIB) -> Iterator[Message]:
    """Make batches ready up to a limit at once, the rest in a thread that stays that far ahead of the sender."""
    ready: list[Message] = []
    size = 0
    for batch in batches:
        ready.append(batch)
        size += _size(batch)
        if size > limit_mib * 2**20:
            break
    else:
        return iter(ready)
    channel: Channel[Message] = Channel(max(len(ready), 2))
    Thread(target=_produce, args=(batches, channel), name="sequencer", daemon=True).start()
    return chain(ready, _drain(channel))


def _drain(channel: Channel[Message]) -> Iterator[Message]:
    try:
        yield from channel
    finally:
        channel.abandon()


def _produce(batches: Iterator[Message], channel: Channel[Message]) -> None:
    try:
        for batch in batches:
            if not channel.put(batch):
                return
    except Exception as problem:  # noqa: BLE001 - it is raised again where the batches are taken
        channel.close(problem)
    else:
        channel.close()


def singly(messages: Iterable[Message]) -> Iterator[Message]:
    """Cut batches into single readouts; all other messages pass by."""
    for message in messages:
        if not isinstance(message, Readouts):
            yield message
            continue
        for n in range(len(message.headers)):
            one = slice(n, n + 1)
            yield Readouts(message.headers[one], message.trajectory[one], message.samples[one])


def every(messages: Iterable[Message], tr_ms: float) -> Iterator[tuple[int, Message]]:
    """Give each readout its time in ns: one every TR."""
    due_ns = 0
    for message in singly(messages):
        yield due_ns, message
        if isinstance(message, Readouts):
            due_ns += round(tr_ms * 1e6)


def recorded(messages: Iterable[Message], ticks: NDArray[np.integer], tick_ns: int) -> Iterator[tuple[int, Message]]:
    """Give each readout the time at which it was once measured; time stamps that fall back count as the one before."""
    times_ns = np.maximum.accumulate(ticks.astype(np.int64) - int(ticks[0])) * tick_ns
    number = 0
    for message in singly(messages):
        yield int(times_ns[min(number, len(times_ns) - 1)]), message
        number += isinstance(message, Readouts)


def at_once(messages: Iterable[Message]) -> Iterator[tuple[int, Message]]:
    """Let everything leave as fast as it is taken, in the batches it comes in."""
    for message in messages:
        yield 0, message

"""physiology: whether the trace that the scan protocol wants comes all the time: ECG, pulse or respiration."""

from collections.abc import Iterator
from typing import Final, Literal, get_args

from gadgets.context import Context
from gadgets.raw_verdict import verdict
from protocols.events import Flag, Severity
from protocols.messages import Message, Readouts, Waveforms
from protocols.stream import Node

__all__ = ["physiology"]

Trace = Literal["ecg", "pulse", "respiration", "external 1", "external 2"]
NUMBER: Final = {name: number for number, name in enumerate(get_args(Trace))}  # waveform_id of MRD
TICK_S: Final = 2.5e-3  # of acquisition_time_stamp
CODE: Final = "physiology"


def physiology(context: Context, wanted: Trace = "ecg") -> Node:
    """Watch that blocks of the wanted trace come between the readouts, and that it is not a straight line.

    The score is the longest silence in seconds by the readouts' time stamps, from the first readout to the last. A
    silence beyond the limit is told at once, the longest at the end. A block in which no channel changes is silence.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context, wanted)
        for message in messages:
            yield message
            if isinstance(message, Waveforms):
                watch.hear(message)
            elif isinstance(message, Readouts) and len(message.headers):
                stamps = message.headers["acquisition_time_stamp"]
                yield from watch.wait(int(stamps[0]), int(stamps[-1]))
        yield from watch.close()

    return node


class _Watch:
    """When the trace was heard last."""

    def __init__(self, context: Context, wanted: Trace) -> None:
        self._context = context
        self._wanted = wanted
        self._first: int | None = None
        self._now = self._since = 0
        self._longest = 0.0
        self._blocks = self._flat = 0
        self._told = False

    def hear(self, block: Waveforms) -> None:
        """Take a block of any trace; the wanted one ends a silence if it moves."""
        if int(block.header["waveform_id"]) != NUMBER[self._wanted] or not block.samples.size:
            return
        self._blocks += 1
        if (block.samples.max(axis=1) > block.samples.min(axis=1)).any():
            self._since = self._now
        else:
            self._flat += 1

    def wait(self, first: int, last: int) -> Iterator[Flag]:
        """Count the silence up to the last readout of a batch; say the first that is too long."""
        if self._first is None:
            self._first = self._since = first
        self._now = last
        silence = (last - self._since) * TICK_S
        if silence <= self._longest:
            return
        self._longest = silence
        limit = self._context.protocol.limits.get(CODE)
        if not self._told and limit is not None and limit.judge(silence).broken:
            self._told = True
            yield self._flag()

    def close(self) -> Iterator[Flag]:
        """Say the longest silence of the scan."""
        if self._first is None:
            return
        if self._now == self._first:
            text = f"the time stamps of the readouts stand still: silence of the {self._wanted} cannot be measured"
            yield self._context.flag(CODE, Severity.UNKNOWN, f"{text}; {self._heard()}")
        else:
            yield self._flag()

    def _heard(self) -> str:
        flat = f", {self._flat} of them a straight line" if self._flat else ""
        return f"{self._blocks} blocks of it came{flat}"

    def _flag(self) -> Flag:
        text = f"the {self._wanted} was silent for {self._longest:.1f} s; {self._heard()}"
        evidence: dict[str, object] = {"trace": self._wanted, "blocks": self._blocks, "flat": self._flat}
        advice = f"check the electrodes or the sensor of the {self._wanted}, then repeat the scan"
        return verdict(self._context, CODE, self._longest, text, "s", evidence=evidence, advice=advice)

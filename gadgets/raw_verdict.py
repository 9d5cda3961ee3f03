"""How a check of raw data works: behind the placement of what it judges, by the scan protocol's limits.

Without a limit its word is UNKNOWN.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.messages import Message, Readouts, Record
from protocols.stream import Node

__all__ = ["Watch", "behind", "label", "place", "verdict"]

Evidence = dict[str, int | float | str | list[int]]


class Watch(Protocol):
    """What a check has seen of one scan."""

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Look at a batch; say what is new."""

    def close(self) -> Iterator[Flag]:
        """Say at the end of the scan what is left to say."""


def behind(watch: Callable[[], Watch]) -> Node:
    """Let every message pass before it is judged: the receive buffer holds until the next one is pulled."""

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watching = watch()
        for message in messages:
            yield message
            if isinstance(message, Readouts) and len(message.headers):
                yield from watching.take(message)
        yield from watching.close()

    return node


def verdict(context: Context, code: str, score: float | None, text: str, unit: str, **more: object) -> Flag:
    """Judge a score by [limits.<code>]; the limit's advice goes before the check's own, none where it passes."""
    limit = context.protocol.limits.get(code)
    severity = Severity.UNKNOWN if limit is None else limit.judge(score)
    if limit is None:
        text = f"{text}; no limit, so write [limits.{code}] into the scan protocol"
    advice = "" if severity is Severity.PASS else (limit.advice if limit else "") or str(more.get("advice", ""))
    shown = None if score is None else round(score, 4)
    return context.flag(code, severity, text, **{**more, "advice": advice, "score": shown, "unit": unit})


def label(context: Context, coil: int) -> str:
    """What the header calls a coil, else its number."""
    labels = context.scan.coil_labels
    return labels[coil] if coil < len(labels) else f"coil {coil}"


def place(header: Record) -> dict[str, int]:
    """Which frame a readout belongs to."""
    return {name: int(header["idx"][name]) for name in ("slice", "contrast", "repetition")}

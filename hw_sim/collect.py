"""What came back from the plugin, and when."""

from dataclasses import dataclass, field
from typing import TypeAlias

from hw_sim.clock import Jitter
from protocols.events import Advice, Event, Flag, Prescription
from protocols.messages import Image
from protocols.mrd import FRAME_COUNTERS

__all__ = ["Arrived", "Departed", "Key", "Result", "TimelineRow", "key_of", "timeline"]

Key: TypeAlias = tuple[int, ...]  # FRAME_COUNTERS of one frame


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """An image and the moment when its last byte was read."""

    image: Image
    time_ns: int  # monotonic clock


@dataclass(frozen=True, slots=True)
class Departed:
    """The last readout of a frame and the moment before it was handed to the socket."""

    key: Key
    time_ns: int  # monotonic clock


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One frame: when its last readout left, when its image was here."""

    key: Key
    sent_s: float  # since the first readout
    received_s: float | None  # None: no image came

    @property
    def latency_ms(self) -> float | None:
        """Last readout sent to image received."""
        return None if self.received_s is None else 1e3 * (self.received_s - self.sent_s)


@dataclass(slots=True)
class Result:
    """Everything that one session brought."""

    begun_ns: int = 0  # monotonic clock, first readout
    readouts: int = 0
    departed: list[Departed] = field(default_factory=list)
    images: list[Arrived] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)
    prescriptions: list[Prescription] = field(default_factory=list)
    stopped: bool = False  # before its end, on advice
    jitter: Jitter = field(default_factory=lambda: Jitter(0.0, 0.0))
    closed: bool = False  # the plugin said CLOSE
    seconds: float = 0.0

    @property
    def stops(self) -> bool:
        """Whether it was advised to acquire nothing more."""
        return any(advice.action != "reacquire" for advice in self.advice)

    @property
    def spoilt(self) -> tuple[int, ...]:
        """Slices that the last advice wants again; all that were sent whole where the scan was to be aborted."""
        if not self.advice or self.advice[-1].action == "stop":
            return ()
        if self.advice[-1].action == "abort":
            return tuple(sorted({departed.key[0] for departed in self.departed}))
        return tuple(sorted({frame.slice for frame in self.advice[-1].again}))

    @property
    def aborted(self) -> bool:
        """Whether starting again was advised."""
        return bool(self.advice) and self.advice[-1].action == "abort"

    @property
    def missing(self) -> list[Key]:
        """Frames that were sent whole and have no image."""
        return [row.key for row in timeline(self) if row.received_s is None]


def key_of(counters: object) -> Key:
    """Tell which frame a record of counters (an image header, or `idx` of an acquisition header) belongs to."""
    return tuple(int(counters[name]) for name in FRAME_COUNTERS)  # type: ignore[index]


def timeline(result: Result) -> list[TimelineRow]:
    """Pair each frame with the first image that bears its counters."""
    first: dict[Key, int] = {}
    for arrived in result.images:
        first.setdefault(key_of(arrived.image.header), arrived.time_ns)
    rows = []
    for departed in result.departed:
        here_ns = first.get(departed.key)
        received_s = None if here_ns is None else (here_ns - result.begun_ns) * 1e-9
        rows.append(TimelineRow(departed.key, (departed.time_ns - result.begun_ns) * 1e-9, received_s))
    return rows

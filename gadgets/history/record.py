"""What is gathered of one scan while it runs, and what is known of one that is past."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from protocols.events import Event, Flag, ImageReady, Quality
from protocols.scan import Scan
from protocols.tables import ScanProtocol

__all__ = ["OWN", "Past", "Record"]

MOST: Final = 20_000  # flags, and figures of images, that are kept of one scan
OWN: Final = frozenset({"history", "drift"})  # codes of flags about other scans, or about the store itself


@dataclass(slots=True)
class Record:
    """One scan as it runs: facts without identity, and its events, gathered by the threads that send them."""

    scan: Scan
    protocol: ScanProtocol
    session: str
    tell: Callable[[Flag], None]  # where a flag about the history goes
    time_s: float = field(default_factory=time.time)
    flags: list[Flag] = field(default_factory=list)
    qualities: list[Quality] = field(default_factory=list)
    images: int = 0
    latency_ms: float = 0.0  # the slowest image's
    left_out: int = 0
    told: bool = False  # that this scan is not, or might not be, kept

    def note(self, event: Event) -> None:
        """Gather an event; never waits."""
        if isinstance(event, ImageReady):
            self.images += 1
            self.latency_ms = max(self.latency_ms, event.latency_ms)
        elif len(self.flags) + len(self.qualities) >= MOST:
            self.left_out += isinstance(event, Flag | Quality)
        elif isinstance(event, Flag) and event.code not in OWN:
            self.flags.append(event)
        elif isinstance(event, Quality):
            self.qualities.append(event)


@dataclass(frozen=True, slots=True)
class Past:
    """One scan of the past, from the store or from a file of flags."""

    scan: int
    time_s: float
    protocol: str
    scanner: str  # vendor, model, coils and matrix: figures are compared among equals
    scores: Mapping[str, Sequence[float]]  # code of a flag, or name of an image's figure -> its values
    units: Mapping[str, str]
    broken: frozenset[str]  # codes of flags that were WARN or FAIL
    told: Mapping[str, int] = field(default_factory=dict)  # code -> flags, those without a score among them
    bounds: Mapping[str, float] = field(default_factory=dict)  # code -> the limit that it was judged by
    watched: Mapping[str, Sequence[float]] = field(default_factory=dict)  # for drift: linear and network images apart

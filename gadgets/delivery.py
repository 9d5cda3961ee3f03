"""What a scan's chain yields, each to where it belongs: console, bus, history; and which deadlines were missed."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gadgets.history.record import Record
from gadgets.meter import Meter
from protocols.events import Advice, Event, Flag, ImageReady, Prescription, Quality, Severity
from protocols.messages import Blob, Failure, Feedback, Frame, Image, Message, Text
from protocols.tables import ScanProtocol

__all__ = ["Delivery", "Outlets"]

PREFIX: Final = {Severity.PASS: "INF", Severity.WARN: "WRN", Severity.FAIL: "ERR", Severity.UNKNOWN: "WRN"}
METRICS_EVERY_S: Final = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where things go."""

    send: Callable[[Message], None]  # to the peer; raises OSError
    fail: Callable[[str], None]  # the same for a reason why nothing more will come
    lose: Callable[[OSError], None]  # notes that the peer is gone
    publish: Callable[[Event], None]  # on the bus


class Delivery:
    """Deliver the results of one scan; from several threads."""

    def __init__(self, session: str, protocol: ScanProtocol, meter: Meter, outlets: Outlets) -> None:
        self.record: Record | None = None  # of the scan's history
        self._session = session
        self._protocol = protocol
        self._meter = meter
        self._out = outlets
        self._late: dict[str, list[float]] = defaultdict(list)
        self._told = 0.0

    def deliver(self, message: Message) -> None:
        """Send images at once, then what is known about them; raises OSError where the peer takes nothing."""
        if isinstance(message, Image):
            self._image(message)
        elif isinstance(message, Flag):
            self._flag(message)
        elif isinstance(message, Failure):
            self._out.fail(message.reason)
        elif isinstance(message, Prescription | Quality | Advice):
            self._publish(message)
        elif isinstance(message, Text | Feedback | Blob):
            self._out.send(message)
        elif isinstance(message, Frame):
            log.error("a frame left the chain without becoming an image", session=self._session)
        if time.monotonic() - self._told > METRICS_EVERY_S:
            self._told = time.monotonic()
            self._out.publish(self._meter.metrics())

    def opinion(self, message: Message) -> None:
        """Deliver an opinion from its own thread; a peer that is gone by then costs nothing but a line in the log."""
        try:
            self.deliver(message)
        except OSError as error:
            self._out.lose(error)

    def took(self, stage: str, ms: float) -> None:
        """Note what a stage took, and whether that was too long."""
        self._meter.took(stage, ms)
        if ms > self._protocol.deadlines.get(stage, math.inf):
            self._late[stage].append(ms)

    def late(self) -> None:
        """Say at the end of a scan which deadlines were missed, how often and by how much."""
        for stage, late in sorted(self._late.items()):
            limit = self._protocol.deadlines[stage]
            self._flag(
                Flag(
                    code="deadline_missed",
                    severity=Severity.WARN,
                    message=f"{stage} took longer than {limit:g} ms {len(late)} times, {max(late):.1f} ms at worst",
                    advice="choose a faster method, or a later deadline, in the scan protocol",
                    score=round(max(late), 3),
                    unit="ms",
                    limit=limit,
                    limit_id=f"{self._protocol.short_hash}:deadlines.{stage}",
                    evidence={"stage": stage, "times": len(late)},
                    session=self._session,
                )
            )

    def _image(self, image: Image) -> None:
        self._out.send(image)
        self._meter.count("images")
        latency_ms = (time.monotonic_ns() - image.arrived_ns) / 1e6 if image.arrived_ns else 0.0
        self.took("image", latency_ms)
        header = image.header
        self._publish(
            ImageReady(
                session=self._session,
                protocol=self._protocol.name,
                series=int(header["image_series_index"]),
                index=int(header["image_index"]),
                slice=int(header["slice"]),
                repetition=int(header["repetition"]),
                latency_ms=latency_ms,
                engine=str(image.meta.get("Scanside.Engine", "")),
            )
        )
        for flag in image.flags:
            self._flag(flag)

    def _flag(self, flag: Flag) -> None:
        """Put a flag on the bus; on the console's log too when somebody should look."""
        self._meter.count("flags")
        self._publish(flag)
        if flag.severity is not Severity.PASS:
            advice = f" Advice: {flag.advice}." if flag.advice else ""
            self._out.send(Text(f"{PREFIX[flag.severity]} {flag.code}: {flag.message}.{advice}"))
            log.warning(
                "flag", session=self._session, code=flag.code, severity=flag.severity.value, message=flag.message
            )

    def _publish(self, event: Event) -> None:
        """Put an event of this scan on the bus, and into its history."""
        self._out.publish(event)
        if self.record is not None:
            self.record.note(event)

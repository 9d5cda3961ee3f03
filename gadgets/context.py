"""What every gadget is lent: the scan, its protocol, workers, a clock, and what earlier scans left behind."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.positioning.crossing import Slices
from engines.positioning.follow_up import Exam
from engines.positioning.scout import Scout
from gadgets.lend import Lender
from protocols.channel import Channel
from protocols.events import Flag, Severity
from protocols.messages import Message, NoiseScan
from protocols.prescription import Answer
from protocols.scan import Scan
from protocols.scan_protocol import ScanProtocol

__all__ = ["Context", "Kept", "Memory"]

T = TypeVar("T")
MOST_RAISED = 1024


class Kept(Generic[T]):
    """The last few values by key, shared by all connections; the oldest is forgotten first."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: OrderedDict[tuple[object, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: tuple[object, ...], value: T) -> None:
        """Keep a value, in place of an earlier one of the same key."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._room:
                self._values.popitem(last=False)

    def get(self, key: tuple[object, ...]) -> T | None:
        """Look a value up."""
        with self._lock:
            return self._values.get(key)


@dataclass(frozen=True, slots=True)
class Memory:
    """What outlives a connection: noise and calibrations of earlier scans of the exam."""

    noise: Kept[NoiseScan] = field(default_factory=lambda: Kept(32))
    calibrations: Kept[object] = field(default_factory=lambda: Kept(64))
    scouts: Kept[Scout] = field(default_factory=lambda: Kept(4))
    slices: Kept[Slices] = field(default_factory=lambda: Kept(4))  # of scouts that are no volume
    exams: Kept[Exam] = field(default_factory=lambda: Kept(8))
    subjects: Kept[bytes] = field(default_factory=lambda: Kept(32))  # hash of whom a scout is of, by measurement id
    answers: Kept[Answer] = field(default_factory=lambda: Kept(32))  # of consoles over the bus, by prescription
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)  # of those hashes
    levels: Kept[NDArray[np.float64]] = field(default_factory=lambda: Kept(32))  # noise (scan, coil) of an array, dB


@dataclass(frozen=True, slots=True)
class Context:
    """One connection's surroundings."""

    scan: Scan
    protocol: ScanProtocol
    workers: ThreadPoolExecutor  # for what takes long; they stand back behind frames
    helpers: ThreadPoolExecutor | None = None  # for halves of a frame's own work
    session: str = ""
    xml: str = ""  # the ISMRMRD header as it came
    archive: Path | None = None  # folder for raw data; nothing is archived without one
    priors: Path | None = None  # folder of prior exams; of no subject anything is kept without one
    memory: Memory = field(default_factory=Memory)
    watch: Callable[[str, Channel[Message]], None] | None = None  # told every queue, for metrics
    tell: Callable[[Message], None] = lambda _message: None  # sends an opinion, from any thread
    cancelled: Callable[[], bool] = lambda: False  # whether the connection has ended, for long work in a worker
    took: Callable[[str, float], None] = lambda _stage, _ms: None  # told what a stage took
    lender: Lender = field(default_factory=Lender)  # networks, shared by all connections
    raised: list[Flag] = field(default_factory=list)  # every WARN and FAIL so far, the first MOST_RAISED

    def flag(self, code: str, severity: Severity, message: str, **more: object) -> Flag:
        """Make a flag of this connection, with its limit's id where the scan protocol has one.

        A limit in another unit than the score's judges nothing: the flag is UNKNOWN.
        """
        limit = self.protocol.limits.get(code)
        known = {} if limit is None else {"limit": limit.value, "limit_id": self.protocol.limit_id(code)}
        unit = more.get("unit", "")
        if limit is not None and unit and unit != limit.unit:
            severity = Severity.UNKNOWN
            message = f"{message}; [limits.{code}] is in {limit.unit!r}, the score in {unit!r}: mend the limit's unit"
        made = Flag(code=code, severity=severity, message=message, session=self.session, **{**known, **more})
        if severity.broken and len(self.raised) < MOST_RAISED:
            self.raised.append(made)
        return made

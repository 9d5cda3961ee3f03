"""The chronicle: writes every scan that has ended into the store, in a thread of its own, and is never waited for."""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

import structlog

from gadgets.history.drift import Drift
from gadgets.history.record import Record
from gadgets.history.store import Store, StoreError, damaged
from protocols.channel import Channel
from protocols.events import Flag, Severity
from protocols.scan import Scan
from protocols.tables import ScanProtocol

__all__ = ["Chronicle", "Keep"]

DEPTH: Final = 64  # beginnings and ends of scans that may wait for the disk
WAIT_S: Final = 2.0  # how long another server on the same store is waited for
PROBLEMS: Final = (sqlite3.Error, StoreError, OSError)
log = structlog.get_logger()
Item = tuple[Literal["begun", "ended"], Record]


@dataclass(frozen=True, slots=True)
class Keep:
    """Where history is kept, and how much of it."""

    path: Path
    days: float = 730.0
    scans: int = 100_000
    most_mib: int = 1024  # of the file; beyond it nothing more is written, and that is told


class Chronicle:
    """Every scan's flags and figures go to a store; without one nothing is kept.

    A store that is locked, full or not ours is one UNKNOWN flag `history` a scan, and the scan goes on. A damaged one
    is moved aside and a new one begun.
    """

    def __init__(self, keep: Keep | None = None, depth: int = DEPTH) -> None:
        self._keep = keep
        self._queue: Channel[Item] = Channel(depth)
        self._store: Store | None = None
        self._drift = Drift()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        if keep is not None:
            self._thread.start()

    def begin(self, scan: Scan, protocol: ScanProtocol, session: str, tell: Callable[[Flag], None]) -> Record | None:
        """Begin to gather a scan; None where nothing is kept. `tell` gets flags from another thread, also later."""
        if self._keep is None:
            return None
        record = Record(scan, protocol, session, tell)
        self._queue.offer(("begun", record))
        return record

    def end(self, record: Record | None) -> None:
        """Hand a scan that has ended to the writer."""
        if record is not None and not self._queue.offer(("ended", record)):
            _tell(record, "the disk is so slow that many scans wait for it; this one is not kept")

    def close(self) -> None:
        """Write what waits, then free thread and file."""
        self._queue.close()
        if self._keep is not None:
            self._thread.join()

    def _run(self) -> None:
        for what, record in self._queue:
            if self._failed(what, record) and what == "ended":
                self._failed(what, record)
        self._forget()

    def _failed(self, what: str, record: Record) -> bool:
        """Do one thing; True where it failed, but would not if it were done again."""
        try:
            self._act(what, record)
        except PROBLEMS as error:
            return self._told_to_begin_anew(record, error)
        except Exception as error:
            log.exception("the history failed", session=record.session)
            self._forget()
            _tell(record, f"this scan may not be kept: {type(error).__name__}: {error}")
        return False

    def _act(self, what: str, record: Record) -> None:
        assert self._keep is not None  # noqa: S101 - the thread runs only where there is a place
        if self._store is None:
            self._store = Store(self._keep.path, write=True, wait_s=WAIT_S, most_mib=self._keep.most_mib)
        if what == "begun":
            self._store.probe()
            return
        number = self._store.add(record)
        if record.left_out:
            _tell(record, f"{record.left_out} flags and figures are not kept: one scan has no more room")
        for flag in self._drift.look(self._store, number, record):
            log.warning("drift", session=record.session, message=flag.message)
            record.tell(flag)
        self._store.prune(self._keep.days, self._keep.scans)

    def _told_to_begin_anew(self, record: Record, error: Exception) -> bool:
        """Say why a scan is not kept; move a damaged store aside."""
        assert self._keep is not None  # noqa: S101
        self._forget()
        if not damaged(error):
            _tell(record, f"this scan may not be kept: {self._keep.path}: {error}")
            return False
        if _sound(self._keep.path):  # another server has seen to it
            return True
        aside = self._move_aside()
        _tell(
            record,
            f"the store was damaged ({error}), "
            + (f"is now {aside}, and a new one begins" if aside else "and cannot be moved aside"),
        )
        return bool(aside)

    def _forget(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = None
        self._drift = Drift()

    def _move_aside(self) -> str:
        """Keep a damaged store under another name; "" where that cannot be done."""
        assert self._keep is not None  # noqa: S101
        path = self._keep.path
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
        aside = path.with_name(f"{path.name}.damaged-{stamp}")
        try:
            for tail in ("-wal", "-shm"):
                part = path.with_name(path.name + tail)
                if part.exists():
                    part.rename(aside.with_name(aside.name + tail))
            path.rename(aside)
        except OSError as error:
            log.error("the damaged history cannot be moved", error=str(error))  # noqa: TRY400 - the reason is enough
            return ""
        return aside.name


def _sound(path: Path) -> bool:
    try:
        Store(path).close()
    except PROBLEMS:
        return False
    return True


def _tell(record: Record, what: str) -> None:
    """Tell once a scan."""
    log.warning("history", session=record.session, problem=what)
    if record.told:
        return
    record.told = True
    advice = "see to the file that was given with scanside serve --history; images and flags are not concerned"
    record.tell(Flag(code="history", severity=Severity.UNKNOWN, message=what, advice=advice, session=record.session))

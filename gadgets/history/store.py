"""The embedded store: one SQLite file, one transaction a scan, nothing in it by which a patient could be told."""

import hashlib
import json
import secrets
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gadgets.history.record import Past, Record

__all__ = ["AlarmRow", "Store", "StoreError", "damaged"]

APPLICATION: Final = 0x5343_4E53  # tells our files from other SQLite files
VERSION: Final = 1
PAGE: Final = 4096
LINEAR: Final = "_linear"  # behind the name of a figure of an image that a network did not draw
SCHEMA: Final = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE scan (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_s REAL NOT NULL, protocol TEXT NOT NULL, limits_hash TEXT NOT NULL,
    measurement TEXT NOT NULL, scanner TEXT NOT NULL, vendor TEXT NOT NULL, model TEXT NOT NULL, field_t REAL,
    coils INTEGER, matrix TEXT NOT NULL, images INTEGER NOT NULL, latency_ms REAL NOT NULL);
CREATE INDEX scan_time ON scan (time_s);
CREATE TABLE flag (
    scan INTEGER NOT NULL REFERENCES scan ON DELETE CASCADE, time_s REAL NOT NULL, code TEXT NOT NULL,
    severity TEXT NOT NULL, score REAL, unit TEXT NOT NULL, bound REAL, evidence TEXT NOT NULL);
CREATE INDEX flag_scan ON flag (scan);
CREATE TABLE figure (
    scan INTEGER NOT NULL REFERENCES scan ON DELETE CASCADE, name TEXT NOT NULL, value REAL, unit TEXT NOT NULL,
    engine TEXT NOT NULL, series INTEGER NOT NULL, slice INTEGER NOT NULL, repetition INTEGER NOT NULL);
CREATE INDEX figure_scan ON figure (scan);
CREATE TABLE alarm (
    scan INTEGER NOT NULL REFERENCES scan ON DELETE CASCADE, figure TEXT NOT NULL, since_s REAL NOT NULL,
    normal REAL NOT NULL, now REAL NOT NULL, far REAL, unit TEXT NOT NULL, PRIMARY KEY (scan, figure));
"""


class StoreError(RuntimeError):
    """A file that is not ours to write into; the message says what to do."""


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """A drift alarm: with which scan it was raised, on what, since when, from where to where."""

    scan: int
    figure: str
    since_s: float
    normal: float
    now: float
    far: float | None
    unit: str


def damaged(error: Exception) -> bool:
    """Whether SQLite says that the file itself is broken: such errors, and only they, are plain DatabaseErrors."""
    return type(error) is sqlite3.DatabaseError


class Store:
    """One open store; belongs to the thread that opened it. Several processes may have one open."""

    def __init__(self, path: Path, *, write: bool = False, wait_s: float = 2.0, most_mib: int = 1024) -> None:
        """Open it, or begin one where `write` finds none.

        Raises StoreError for a file of another program or a later release, sqlite3.Error for one that is locked, full,
        or damaged.
        """
        self.path = path
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise StoreError(f"{path}: no such history; one is kept by: scanside serve --history {path}")
        where = path.absolute().as_uri() + ("" if write else "?mode=ro")
        self._sql = sqlite3.connect(where, uri=True, timeout=wait_s, isolation_level=None)
        try:
            self._open(write=write, most_mib=most_mib)
        except BaseException:
            self._sql.close()
            raise

    def _open(self, *, write: bool, most_mib: int) -> None:
        self._sql.execute("PRAGMA foreign_keys = ON")
        told = str(self._one("PRAGMA quick_check(1)"))
        if told != "ok":
            raise sqlite3.DatabaseError(told.replace("\n", " "))
        if write:
            self._sql.execute("PRAGMA journal_mode = WAL")
            self._sql.execute("PRAGMA synchronous = NORMAL")
            self._sql.execute(f"PRAGMA max_page_count = {most_mib * 2**20 // PAGE}")
            self._begin()
        came, release = self._one("PRAGMA application_id"), self._one("PRAGMA user_version")
        if came != APPLICATION:
            raise StoreError(f"{self.path}: got an SQLite file of another program, wanted a new file or a history")
        if release != VERSION:
            raise StoreError(f"{self.path}: got a history of version {release}, wanted {VERSION}; name another file")

    def _begin(self) -> None:
        """Make the tables where there are none, though another process may be doing the same."""
        with self._transaction():
            if self._one("SELECT count(*) FROM sqlite_master"):
                return
            for statement in SCHEMA.split(";"):
                self._sql.execute(statement)
            self._sql.execute(f"PRAGMA application_id = {APPLICATION}")
            self._sql.execute(f"PRAGMA user_version = {VERSION}")
            self._sql.execute("INSERT INTO about VALUES ('salt', ?)", [secrets.token_hex(16)])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    def _one(self, statement: str) -> Any:
        return self._sql.execute(statement).fetchone()[0]

    def probe(self) -> None:
        """Raise sqlite3.Error where nothing could be written now."""
        with self._transaction():
            pass

    def add(self, record: Record) -> int:
        """Write one scan, whole or not at all; returns its number."""
        with self._transaction():
            number = self._add_scan(record)
            self._sql.executemany("INSERT INTO flag VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _flags(number, record))
            self._sql.executemany("INSERT INTO figure VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _figures(number, record))
        return number

    def _add_scan(self, record: Record) -> int:
        scan, salt = record.scan, self._one("SELECT value FROM about WHERE key = 'salt'")
        hashed = hashlib.blake2b(scan.measurement_id.encode(), key=str(salt).encode(), digest_size=8).hexdigest()
        matrix = "x".join(map(str, scan.encodings[0].recon_matrix))
        model = " ".join(part for part in (scan.system_vendor, scan.system_model) if part) or "unknown scanner"
        row = (
            record.time_s,
            record.protocol.name,
            record.protocol.short_hash,
            hashed if scan.measurement_id else "",
            f"{model}, {scan.coils or '?'} coils, {matrix}",
            scan.system_vendor,
            scan.system_model,
            scan.field_strength_t,
            scan.coils,
            matrix,
            record.images,
            record.latency_ms,
        )
        done = self._sql.execute("INSERT INTO scan VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return int(done.lastrowid or 0)

    def prune(self, days: float, scans: int, now_s: float | None = None) -> int:
        """Forget scans older than so many days, and all but the last so many; returns how many went."""
        oldest_s = (time.time() if now_s is None else now_s) - days * 86_400
        with self._transaction():
            old = self._sql.execute("DELETE FROM scan WHERE time_s < ?", [oldest_s]).rowcount
            last = "(SELECT id FROM scan ORDER BY id DESC LIMIT 1 OFFSET ?)"
            many = self._sql.execute(f"DELETE FROM scan WHERE id <= {last}", [scans]).rowcount  # noqa: S608
        return old + many

    def alarm(self, row: AlarmRow) -> bool:
        """Keep an alarm; False where it is known already, from another server on the same store."""
        values = (row.scan, row.figure, row.since_s, row.normal, row.now, row.far, row.unit)
        with self._transaction():
            done = self._sql.execute("INSERT OR IGNORE INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return done.rowcount == 1

    def alarms(self) -> list[AlarmRow]:
        """All alarms, the oldest first."""
        return [AlarmRow(*row) for row in self._sql.execute("SELECT * FROM alarm ORDER BY scan, figure")]

    def pasts(
        self, protocol: str = "", since_s: float = 0.0, after: int = 0, scanner: str = "", last: int = -1
    ) -> list[Past]:
        """Scans in the order in which they ended; `after` is the number of one, `last` how many at most, -1 all."""
        chosen = (
            "SELECT id, time_s, protocol, scanner FROM scan WHERE (? = '' OR protocol = ?) AND time_s >= ? AND id > ?"
            " AND (? = '' OR scanner = ?) ORDER BY id DESC LIMIT ?"
        )
        rows = self._sql.execute(chosen, (protocol, protocol, since_s, after, scanner, scanner, last)).fetchall()
        return [self._past(*row) for row in reversed(rows)]

    def _past(self, scan: int, time_s: float, protocol: str, scanner: str) -> Past:
        flags = self._sql.execute(
            "SELECT code, score, unit, severity, bound FROM flag WHERE scan = ?", [scan]
        ).fetchall()
        scores: dict[str, list[float]] = defaultdict(list)
        units: dict[str, str] = {}
        for code, score, unit, *_ in flags:
            if score is not None:
                scores[code].append(score)
                units[code] = unit
        judged = frozenset(scores)
        figures: dict[str, list[float]] = defaultdict(list)
        for name, value, unit in self._sql.execute("SELECT name, value, unit FROM figure WHERE scan = ?", [scan]):
            if value is not None:
                figures[name].append(value)
                units[name] = unit
        measured = {name.removesuffix(LINEAR) for name in figures}
        watched = {code: values for code, values in scores.items() if code not in measured} | figures
        scores |= {name: values for name, values in figures.items() if name not in judged}
        broken = frozenset(code for code, _, _, severity, _ in flags if severity in ("WARN", "FAIL"))
        told = Counter(code for code, *_ in flags)
        bounds = {code: bound for code, *_, bound in flags if bound is not None}
        return Past(scan, time_s, protocol, scanner, dict(scores), units, broken, told, bounds, watched)

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _flags(scan: int, record: Record) -> list[Sequence[object]]:
    """Rows of flags; of their evidence only whole numbers (slice, coil, line), since labels and text could say more."""
    rows: list[Sequence[object]] = []
    for flag in list(record.flags):
        where = json.dumps({key: value for key, value in flag.evidence.items() if isinstance(value, int)})
        rows.append((scan, flag.time_s, flag.code, flag.severity.value, flag.score, flag.unit, flag.limit, where))
    return rows


def _figures(scan: int, record: Record) -> list[Sequence[object]]:
    """Rows of figures; where a network draws, those of linear images are named as of the one behind a network's."""
    draws = "network" in record.protocol.chain.order
    rows: list[Sequence[object]] = []
    for event in list(record.qualities):
        behind = LINEAR if draws and event.engine != "network" else ""
        where = (event.engine, event.series, event.slice, event.repetition)
        rows += [
            (scan, name + behind, value, event.units.get(name, ""), *where) for name, value in event.figures.items()
        ]
    return rows

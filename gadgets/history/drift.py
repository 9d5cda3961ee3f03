"""Drift alarms: every figure of every scanner and scan protocol is watched from one scan to the next."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

from engines.quality.cusum import Alarm, Level, Share
from gadgets.history.record import Past, Record
from gadgets.history.store import AlarmRow, Store
from protocols.events import Flag, Severity

__all__ = ["FALSE_PER_10000", "FLAGGED", "Drift", "Watch"]

FALSE_PER_10000: Final = 1.0  # false alarms a watched figure in 10,000 scans in which nothing drifts
FLAGGED: Final = "flagged"  # the share of scans with any WARN or FAIL
LOOK_BACK: Final = 500  # scans that a server which has just started learns from


@dataclass(slots=True)
class Watch:
    """All figures of one scanner and scan protocol; a figure of a scan is the median of its scores."""

    levels: dict[str, Level] = field(default_factory=dict)
    share: Share = field(default_factory=lambda: Share(FALSE_PER_10000))
    times: dict[str, list[float]] = field(default_factory=dict)  # of the values of each figure
    last: int = 0

    def take(self, past: Past) -> Iterator[AlarmRow]:
        """Look at the next scan."""
        self.last = past.scan
        for figure, scores in past.watched.items():
            level = self.levels.setdefault(figure, Level(FALSE_PER_10000))
            yield from self._row(past, figure, level.add(median(scores)), past.units.get(figure, ""))
        yield from self._row(past, FLAGGED, self.share.add(bool(past.broken)), "1")

    def _row(self, past: Past, figure: str, alarm: Alarm | None, unit: str) -> Iterator[AlarmRow]:
        times = self.times.setdefault(figure, [])
        times.append(past.time_s)
        if alarm is not None:
            since_s = times[min(alarm.since, len(times) - 1)]
            yield AlarmRow(past.scan, figure, since_s, alarm.normal, alarm.now, alarm.far, unit)


class Drift:
    """The watches of a store; another server's scans in it are looked at, too."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str, str], Watch] = {}

    def look(self, store: Store, scan: int, record: Record) -> list[Flag]:
        """Look at a scan that has just been added and at what came before it; flags of alarms not told yet."""
        (added,) = store.pasts(after=scan - 1, last=-1)[:1]
        key = (added.protocol, added.scanner)
        watch = self._watches.get(key)
        new = watch is None
        watch = self._watches.setdefault(key, Watch())
        rows: list[AlarmRow] = []
        for past in store.pasts(added.protocol, after=watch.last, scanner=added.scanner, last=LOOK_BACK if new else -1):
            found = list(watch.take(past))
            rows += found if not new or past.scan >= scan else []
        return [_flag(row, record, added.scanner) for row in rows if store.alarm(row)]


def _flag(row: AlarmRow, record: Record, scanner: str) -> Flag:
    since = datetime.fromtimestamp(row.since_s).strftime("%Y-%m-%d %H:%M")
    unit = "" if row.unit in ("", "1") else f" {row.unit}"
    far = "" if row.far is None else f", {abs(row.far):.1f} robust standard deviations"
    name = record.protocol.name
    what = "the share of scans with a flag" if row.figure == FLAGGED else row.figure
    return Flag(
        code="drift",
        severity=Severity.WARN,
        message=f"{what} went from {row.normal:.4g} to {row.now:.4g}{unit}{far}, since {since}; {name} on {scanner}",
        advice=f"scan a phantom, and look: scanside qc history --history FILE --protocol {name}",
        score=None if row.far is None else round(row.far, 3),
        unit="" if row.far is None else "robust std",
        limit_id=f"drift:{FALSE_PER_10000:g} false per 10000 scans",
        evidence={"figure": row.figure, "since": since, "normal": row.normal, "now": row.now},
        session=record.session,
    )

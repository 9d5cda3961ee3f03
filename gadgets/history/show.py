"""History as tables in the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from engines.quality.cusum import BASELINE
from gadgets.history.record import Past
from gadgets.history.replay import Row
from gadgets.history.store import AlarmRow
from protocols.events import Severity

__all__ = ["alarms", "console", "grouped", "overview", "replayed", "scans"]

Group = tuple[str, str]  # scan protocol, scanner
LATEST: Final = 30  # scans of a table


def console() -> Console:
    """The terminal; where the output goes elsewhere, wide enough for every table."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold", no_wrap=number == 0)
    return table


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s).strftime("%Y-%m-%d %H:%M")


def grouped(pasts: Iterable[Past]) -> Mapping[Group, list[Past]]:
    """Scans by scan protocol and scanner."""
    groups: dict[Group, list[Past]] = {}
    for past in pasts:
        groups.setdefault((past.protocol, past.scanner), []).append(past)
    return groups


def overview(pasts: Sequence[Past], found: Sequence[AlarmRow]) -> Iterator[Table]:
    """One table a scan protocol and scanner: a line a figure, its normal value, its last one, flags and alarms."""
    for (protocol, scanner), group in grouped(pasts).items():
        title = f"{protocol} on {scanner}: {len(group)} scans, {_day(group[0].time_s)} to {_day(group[-1].time_s)}"
        table = _table(title, "figure", "scans", "first scans", "range", "last", "unit", "flagged", "alarms")
        numbers = {past.scan for past in group}
        for code in sorted({code for past in group for code in past.scores}):
            series = [(past, median(past.scores[code])) for past in group if past.scores.get(code)]
            values = [value for _, value in series]
            table.add_row(
                code,
                str(len(values)),
                f"{median(values[:BASELINE]):.4g}",
                f"{min(values):.4g} … {max(values):.4g}",
                f"{values[-1]:.4g}",
                series[-1][0].units.get(code, ""),
                str(sum(code in past.broken for past in group)),
                str(sum(alarm.figure == code and alarm.scan in numbers for alarm in found)),
            )
        yield table


def scans(pasts: Sequence[Past], code: str, found: Sequence[AlarmRow]) -> Table:
    """The latest scans with their scores of a code."""
    chosen = [past for past in pasts if past.scores.get(code) or past.told.get(code)][-LATEST:]
    table = _table(
        f"{code}, the last {len(chosen)} scans", "scan", "when", "protocol", "median", "range", "limit", "", "alarm"
    )
    raised = {alarm.scan for alarm in found if alarm.figure == code}
    for past in chosen:
        values = past.scores.get(code, ())
        bound = past.bounds.get(code)
        table.add_row(
            str(past.scan),
            _day(past.time_s),
            past.protocol,
            f"{median(values):.4g}" if values else "unknown",
            f"{min(values):.4g} … {max(values):.4g}" if len(values) > 1 else "",
            "" if bound is None else f"{bound:.4g}",
            "flagged" if code in past.broken else "",
            "drift" if past.scan in raised else "",
        )
    return table


def alarms(found: Sequence[AlarmRow]) -> Table:
    """All drift alarms: on what, since when, how far."""
    table = _table("drift alarms", "figure", "with scan", "since", "from", "to", "robust std")
    for alarm in found:
        far = "" if alarm.far is None else f"{alarm.far:+.1f}"
        table.add_row(
            alarm.figure,
            str(alarm.scan),
            _day(alarm.since_s),
            f"{alarm.normal:.4g}",
            f"{alarm.now:.4g} {alarm.unit if alarm.unit != '1' else ''}",
            far,
        )
    return table


def replayed(rows: Sequence[Row], protocol: str, count: int) -> Table:
    """What limits would have said."""
    title = f"{protocol}: {count} past scans"
    table = _table(title, "limit", "value", "scans", "PASS", "WARN", "FAIL", "UNKNOWN", "flagged", "then", "worst")
    for row in rows:
        low, high = row.share if row.scans else (0.0, 1.0)
        share = f"{100 * row.flagged / row.scans:.3g} % ({100 * low:.3g} to {100 * high:.3g})" if row.scans else ""
        table.add_row(
            row.code,
            "" if row.limit is None else str(row.limit).partition(", else")[0],
            str(row.scans),
            *(
                str(row.judged[severity])
                for severity in (Severity.PASS, Severity.WARN, Severity.FAIL, Severity.UNKNOWN)
            ),
            share,
            str(row.flagged_then),
            "" if row.worst is None else f"{row.worst:.4g}",
        )
    return table

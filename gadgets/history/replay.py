"""What limits would have said of past scans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from engines.quality.percentiles import share_interval
from gadgets.history.record import Past
from protocols.events import Severity
from protocols.limits import QualityLimit
from protocols.tables import ScanProtocol

__all__ = ["Row", "replay", "verdict"]

WORST = (Severity.FAIL, Severity.WARN, Severity.UNKNOWN, Severity.PASS)
ANY = "any limit"


@dataclass(frozen=True, slots=True)
class Row:
    """One limit over all scans: how many it would have judged how, and how many had been flagged in their time."""

    code: str
    limit: QualityLimit | None
    judged: dict[Severity, int]
    flagged_then: int
    worst: float | None

    @property
    def scans(self) -> int:
        """Scans with a word on this code."""
        return sum(self.judged.values())

    @property
    def flagged(self) -> int:
        """Scans with WARN or FAIL."""
        return self.judged[Severity.WARN] + self.judged[Severity.FAIL]

    @property
    def share(self) -> tuple[float, float]:
        """The share of flagged scans: its 95 % interval."""
        return share_interval(self.flagged, self.scans)


def verdict(limit: QualityLimit | None, past: Past, code: str, today: date | None = None) -> Severity | None:
    """The worst that a limit says of a scan; None where the scan has no word on it.

    Without a limit, with an expired one, or with scores in another unit it is UNKNOWN, never PASS.
    """
    scores = past.scores.get(code, ())
    if not scores and not past.told.get(code):
        return None
    if limit is None or (scores and past.units[code] != limit.unit):
        return Severity.UNKNOWN
    said = [limit.judge(score, today) for score in scores]
    if past.told.get(code, 0) > len(scores):
        said.append(Severity.UNKNOWN)
    return min(said, key=WORST.index)


def replay(protocol: ScanProtocol, pasts: Sequence[Past], today: date | None = None) -> Iterator[Row]:
    """One row a limit, one a code that has been judged and has no limit any more, and one for all together."""
    told = {code for past in pasts for code in past.told if past.scores.get(code) and code in past.bounds}
    without = sorted(code for code in told - set(protocol.limits) if code != "deadline_missed")
    together: dict[int, Severity] = {}
    for code in (*protocol.limits, *without):
        limit = protocol.limits.get(code)
        said = [verdict(limit, past, code, today) for past in pasts]
        for number, severity in enumerate(said):
            if severity is not None:
                together[number] = min(severity, together.get(number, severity), key=WORST.index)
        scores = [score for past in pasts for score in past.scores.get(code, ())]
        lowest = limit is not None and limit.direction == "min"
        worst = None if not scores else min(scores) if lowest else max(scores)
        then = sum(code in past.broken for past in pasts)
        yield Row(code, limit, {s: sum(one is s for one in said) for s in WORST}, then, worst)
    then = sum(bool(past.broken & set(protocol.limits)) for past in pasts)
    yield Row(ANY, None, {s: sum(one is s for one in together.values()) for s in WORST}, then, None)

"""Limits from past scans: a percentile of clean ones, with a bound that holds whatever their distribution is."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from engines.quality.percentiles import percentile_bound, scans_needed
from gadgets.history.record import Past
from protocols.limits import QualityLimit
from protocols.tables import ScanProtocol

__all__ = ["Fitted", "Refused", "Wish", "fit", "write"]

LEAST: Final = 0.9  # share of scans that must have a score: some checks give one only where something is wrong


@dataclass(frozen=True, slots=True)
class Wish:
    """Which share of clean scans a limit should pass, how surely, and for how long it holds."""

    share: float = 0.99
    confidence: float = 0.95
    valid_until: date = date.max
    codes: tuple[str, ...] = ()  # none: all that have a limit


@dataclass(frozen=True, slots=True)
class Fitted:
    """A limit that was learned, and from how many scans; so many others were left out as not clean."""

    code: str
    limit: QualityLimit
    scans: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A limit that could not be learned, and why."""

    code: str
    why: str


def fit(protocol: ScanProtocol, pasts: Sequence[Past], wish: Wish) -> Iterator[Fitted | Refused]:
    """Learn every limit of a scan protocol anew; direction, severity and advice stay, value and basis change.

    A scan counts by its worst score, and only where no other limit was broken: the limit to be learned must not choose
    the scans it is learned from.
    """
    for code, limit in protocol.limits.items():
        if not wish.codes or code in wish.codes:
            yield _fit(code, limit, pasts, wish, frozenset(protocol.limits) - {code})


def _fit(code: str, limit: QualityLimit, pasts: Sequence[Past], wish: Wish, others: frozenset[str]) -> Fitted | Refused:
    scored = [past for past in pasts if past.scores.get(code)]
    clean = [past for past in scored if not past.broken & others]
    strange = sorted({past.units[code] for past in scored} - {limit.unit})
    needed = scans_needed(wish.share, wish.confidence)
    if strange:
        return Refused(code, f"scores are in {_quoted(strange)}, the limit is in '{limit.unit}'; mend its unit")
    if len(scored) < LEAST * len(pasts):
        return Refused(
            code,
            f"got a score in {len(scored)} of {len(pasts)} scans, wanted one in {100 * LEAST:g} % of them: "
            "flags that come only where something is wrong teach nothing about clean scans",
        )
    sign = 1.0 if limit.direction == "max" else -1.0
    bound = percentile_bound(
        [max(sign * score for score in past.scores[code]) for past in clean], wish.share, wish.confidence
    )
    if bound is None:
        left = f" ({len(scored) - len(clean)} more had another limit broken)" if len(scored) > len(clean) else ""
        return Refused(
            code,
            f"got {len(clean)} clean scans with a score{left}, wanted {needed} for the {100 * wish.share:g}th "
            f"percentile with {100 * wish.confidence:g} % confidence; scan more, or lower --share or --confidence",
        )
    learned = limit.model_copy(
        update={"value": sign * _outward(bound), "basis": "site percentile", "valid_until": wish.valid_until}
    )
    return Fitted(code, learned, len(clean), len(scored) - len(clean))


def _outward(value: float) -> float:
    """Rounded up to four digits, so that the bound still holds."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 3)
    return float(f"{math.ceil(value / step - 1e-9) * step:.12g}")


def _quoted(units: Iterable[str]) -> str:
    return " and ".join(f"'{unit}'" for unit in units)


def write(results: Iterable[Fitted | Refused], wish: Wish) -> str:
    """TOML of the limits learned, to be put in place of those of the same name."""
    lines = []
    for made in results:
        if isinstance(made, Refused):
            continue
        limit = made.limit
        told = f"{100 * wish.share:g}th percentile of {made.scans} clean scans, {100 * wish.confidence:g} % confidence"
        lines += [
            f"[limits.{made.code}] # {told}",
            f"value = {limit.value:.12g}",
            f'direction = "{limit.direction}"',
            f"unit = {json.dumps(limit.unit, ensure_ascii=False)}",
            f'basis = "{limit.basis}"',
            f'severity = "{limit.severity}"',
            f"valid_until = {limit.valid_until}",
            *([f"advice = {json.dumps(limit.advice, ensure_ascii=False)}"] if limit.advice else []),
            "",
        ]
    return "\n".join(lines)

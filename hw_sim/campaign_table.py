"""What a campaign has shown: one line a check, one a fault, shares with 95 % intervals; Markdown and CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from hw_sim.campaign import Outcome, found_at, found_by
from hw_sim.campaign_plan import CHECKS, FINDS
from hw_sim.campaign_size import SCALES, scale_of

__all__ = ["Part", "Row", "Share", "any_flag", "by_size", "checks", "crossed", "markdown", "write"]

Z95 = 1.959964
NORMAL = "z"  # axis across the slices of single frames


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with the interval of Wilson, J Am Stat Assoc 1927; 22:209."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing is 0."""
        return self.hits / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval; all of nothing."""
        if not self.of:
            return 0.0, 1.0
        square = Z95**2
        middle = (self.hits + square / 2) / (self.of + square)
        spread = Z95 / (self.of + square) * sqrt(self.hits * (self.of - self.hits) / self.of + square / 4)
        return max(0.0, middle - spread), min(1.0, middle + spread)

    def __str__(self) -> str:
        if not self.of:
            return "-"
        low, high = self.interval
        return f"{self.hits} of {self.of}: {100 * self.value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


@dataclass(frozen=True, slots=True)
class Row:
    """The confusion table of one check."""

    code: str
    found: Share  # scans with a fault that it is there for, and flagged
    right: Share  # of these, with coil, line, sample or frequency named rightly
    false: Share  # scans in which nothing went wrong, and flagged

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """True positives, false negatives, false positives, true negatives."""
        return self.found.hits, self.found.of - self.found.hits, self.false.hits, self.false.of - self.false.hits


@dataclass(frozen=True, slots=True)
class Part:
    """What a check found of faults of one size."""

    code: str
    fault: str
    size: str
    found: Share
    unknown: int  # of those not found, in how many it said UNKNOWN


def _hunted(outcomes: Iterable[Outcome], code: str) -> list[Outcome]:
    """Scans with a fault that a check is there for, of any size, and of a kind that it judges."""
    return [o for o in outcomes if o.truth is not None and o.truth.fault in CHECKS[code] and o.wanted(code)]


def checks(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row a check; faults that are too small to matter, and scans of kinds that it does not judge, do not count."""
    clean = [outcome for outcome in outcomes if outcome.clean]
    rows = []
    for code in CHECKS:
        hit = [o for o in _hunted(outcomes, code) if o.large]
        flags = [(o.truth, found_by(o, code)) for o in hit]
        told = [found_at(flag, truth) for truth, flag in flags if flag is not None and truth is not None]
        named = [right for right in told if right is not None]
        seen = [o for o in clean if o.wanted(code)]
        false = Share(sum(code in o.codes for o in seen), len(seen))
        rows.append(Row(code, Share(len(told), len(hit)), Share(sum(named), len(named)), false))
    return rows


def by_size(outcomes: Sequence[Outcome]) -> list[Part]:
    """What each check found, the faults that have a size split by it; what no halves of a frame can tell is apart."""
    parts = []
    for code, faults in CHECKS.items():
        for fault in (name for name in faults if name in SCALES):
            here: dict[tuple[int, str], list[Outcome]] = {}
            for o in _hunted(outcomes, code):
                if o.truth is not None and o.truth.fault == fault and o.size is not None:
                    here.setdefault(_sized(fault, o, code), []).append(o)
            for (_, size), some in sorted(here.items()):
                missed = [o for o in some if code not in o.codes]
                found = Share(len(some) - len(missed), len(some))
                parts.append(Part(code, fault, size, found, sum(code in o.unknown for o in missed)))
    return parts


def _sized(fault: str, outcome: Outcome, code: str) -> tuple[int, str]:
    """Part of the scale to which a fault belongs, by number and name."""
    scale = scale_of(fault)
    assert scale is not None  # noqa: S101
    assert outcome.size is not None  # noqa: S101
    if code == "frame_motion" and outcome.torn:
        return len(scale.cuts) + 1, "amid the calibration lines"
    if code == "frame_motion" and outcome.truth is not None and outcome.truth.keys.get("along") == NORMAL:
        return len(scale.cuts) + 2, "across the slices"
    part = scale.bin_of(outcome.size)
    return part, scale.named(part)


def any_flag(outcomes: Iterable[Outcome]) -> Share:
    """Clean scans with any WARN or FAIL, over all checks together."""
    clean = [outcome for outcome in outcomes if outcome.clean]
    return Share(sum(bool(outcome.codes) for outcome in clean), len(clean))


def crossed(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Share]]:
    """Fault (`none` first) -> code -> share of its scans with that flag, of those of kinds that its check judges.

    Codes that never came are left out.
    """
    codes = sorted({code for outcome in outcomes for code in outcome.codes})
    ordered = [*CHECKS, *(code for code in codes if code not in CHECKS)]
    names = sorted({outcome.trial.name for outcome in outcomes}, key=_place)
    table = {}
    for name in names:
        here = [outcome for outcome in outcomes if outcome.trial.name == name]
        judged = {code: [outcome for outcome in here if outcome.wanted(code)] for code in ordered if code in codes}
        table[name] = {code: Share(sum(code in o.codes for o in some), len(some)) for code, some in judged.items()}
    return table


def _place(fault: str) -> tuple[int, str]:
    """Where a fault stands: none first, then in the order of the checks, those that no check is for last."""
    finders = [list(CHECKS).index(code) for code in FINDS.get(fault, ())]
    return (-1 if fault == "none" else min(finders, default=len(CHECKS))), fault


def markdown(outcomes: Sequence[Outcome], facts: Sequence[str]) -> str:
    """The whole campaign in words and tables."""
    lines = ["# What the checks find in simulated scans, and what they flag in clean ones", "", *facts, ""]
    lines += [
        "| check | found of its faults | place named rightly | flagged in clean scans | TP FN FP TN |",
        "|---|---|---|---|---|",
    ]
    for row in checks(outcomes):
        lines.append(f"| {row.code} | {row.found} | {row.right} | {row.false} | {' '.join(map(str, row.counts))} |")
    lines += ["", f"Clean scans with any WARN or FAIL, all checks together: {any_flag(outcomes)}.", ""]
    lines += ["| check | fault | its size | found | UNKNOWN, of those not found |", "|---|---|---|---|---|"]
    lines += [f"| {p.code} | {p.fault} | {p.size} | {p.found} | {p.unknown or '-'} |" for p in by_size(outcomes)]
    lines += [
        "",
        "| fault | scans | checks that are there for it | flags it raised, share of its scans that the check judges |",
        "|---|---|---|---|",
    ]
    for name, shares in crossed(outcomes).items():
        raised = ", ".join(f"{code} {share.value:.2f}" for code, share in shares.items() if share.hits) or "none"
        wanted = ", ".join(FINDS.get(name, ())) or ("-" if name == "none" else "none")
        scans = sum(outcome.trial.name == name for outcome in outcomes)
        lines.append(f"| {name} | {scans} | {wanted} | {raised} |")
    return "\n".join(lines) + "\n"


def write(outcomes: Sequence[Outcome], folder: Path, facts: Sequence[str]) -> None:
    """Write campaign.md, checks.csv (one line a check) and scans.csv (one line a scan)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "campaign.md").write_text(markdown(outcomes, facts), encoding="utf-8")
    with (folder / "checks.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["check", "tp", "fn", "fp", "tn", "found", "found_low", "found_high", "false", "false_low", "false_high"]
        )
        for row in checks(outcomes):
            shares = (row.found.value, *row.found.interval, row.false.value, *row.false.interval)
            table.writerow([row.code, *row.counts, *(f"{share:.5f}" for share in shares)])
    with (folder / "scans.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["scan", "kind", "patient", "fault", "size", "should_be_found", "flags", "images", "missing", "seconds"]
        )
        for o in outcomes:
            told = " ".join(sorted(o.codes))
            fault = o.trial.fault or "none"
            table.writerow(
                [
                    o.trial.number,
                    o.trial.kind,
                    o.trial.body,
                    fault,
                    "" if o.size is None else f"{o.size:.1f}",
                    int(o.should),
                    told,
                    o.images,
                    o.missing,
                    f"{o.seconds:.2f}",
                ]
            )

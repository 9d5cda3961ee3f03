"""What a campaign has shown: one line a check, one a fault, shares with 95 % intervals; Markdown and CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from hw_sim.campaign import Outcome, found_at, found_by
from hw_sim.campaign_plan import CHECKS, FINDS

__all__ = ["Row", "Share", "any_flag", "checks", "crossed", "markdown", "write"]

Z95 = 1.959964


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


def checks(outcomes: Sequence[Outcome]) -> list[Row]:
    """One row a check; faults that are too weak to be found count for nothing."""
    clean = [outcome for outcome in outcomes if outcome.truth is None]
    rows = []
    for code, faults in CHECKS.items():
        hit = [o for o in outcomes if o.truth is not None and o.truth.fault in faults and o.should]
        flags = [(o.truth, found_by(o, code)) for o in hit]
        told = [found_at(flag, truth) for truth, flag in flags if flag is not None and truth is not None]
        named = [right for right in told if right is not None]
        false = Share(sum(code in o.codes for o in clean), len(clean))
        rows.append(Row(code, Share(len(told), len(hit)), Share(sum(named), len(named)), false))
    return rows


def any_flag(outcomes: Iterable[Outcome]) -> Share:
    """Clean scans with any WARN or FAIL, over all checks together."""
    clean = [outcome for outcome in outcomes if outcome.truth is None]
    return Share(sum(bool(outcome.codes) for outcome in clean), len(clean))


def crossed(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Share]]:
    """Fault (`none` first) -> code -> share of its scans with that flag; codes that never came are left out."""
    codes = sorted({code for outcome in outcomes for code in outcome.codes})
    ordered = [*CHECKS, *(code for code in codes if code not in CHECKS)]
    names = sorted({outcome.trial.name for outcome in outcomes}, key=_place)
    table = {}
    for name in names:
        here = [outcome for outcome in outcomes if outcome.trial.name == name]
        table[name] = {
            code: Share(sum(code in outcome.codes for outcome in here), len(here)) for code in ordered if code in codes
        }
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
    lines += [
        "| fault | scans | checks that are there for it | flags it raised, share of its scans |",
        "|---|---|---|---|",
    ]
    for name, shares in crossed(outcomes).items():
        raised = ", ".join(f"{code} {share.value:.2f}" for code, share in shares.items() if share.hits) or "none"
        wanted = ", ".join(FINDS.get(name, ())) or ("-" if name == "none" else "none")
        lines.append(f"| {name} | {next(iter(shares.values())).of if shares else 0} | {wanted} | {raised} |")
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
        table.writerow(["scan", "kind", "patient", "fault", "should_be_found", "flags", "images", "missing", "seconds"])
        for o in outcomes:
            told = " ".join(sorted(o.codes))
            fault = o.trial.fault or "none"
            table.writerow(
                [
                    o.trial.number,
                    o.trial.kind,
                    o.trial.body,
                    fault,
                    int(o.should),
                    told,
                    o.images,
                    o.missing,
                    f"{o.seconds:.2f}",
                ]
            )

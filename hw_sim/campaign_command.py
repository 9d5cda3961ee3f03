"""`scanside-sim campaign`: plays, counts, writes."""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track
from threadpoolctl import threadpool_limits

from hw_sim.campaign import SCOUT, Outcome, campaign, with_scouts
from hw_sim.campaign_picture import picture
from hw_sim.campaign_plan import draw, hunted
from hw_sim.campaign_size import SCALES
from hw_sim.campaign_table import any_flag, checks, crossed, write
from hw_sim.commands import SCREEN
from hw_sim.plugin import started

__all__ = ["CampaignWanted", "campaign_command"]


@dataclass(frozen=True, slots=True)
class CampaignWanted:
    """What a campaign is to be."""

    scans: int
    seed: int
    clean: float  # share of scans without a fault
    faults: tuple[str, ...]  # names; none: all
    patients: tuple[str, ...]
    out: Path


def _of_scouts(scouts: Sequence[Outcome]) -> str:
    """What was flagged in scouts, in words."""
    codes = sorted({code for scout in scouts for code in scout.codes})
    told = [f"{code} in {sum(code in scout.codes for scout in scouts)}" for code in codes]
    return f"{len(scouts)} of them, flagged: {', '.join(told) or 'none'}"


def campaign_command(wanted: CampaignWanted) -> int:
    """Play a campaign and write its tables and picture; returns the exit code: 1 if an image is missing."""
    faults = hunted(wanted.faults)
    trials = [draw(number, wanted.seed, faults, wanted.clean, wanted.patients) for number in range(wanted.scans)]
    wanted.out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with threadpool_limits(1), started(wanted.out / "plugin.log") as where:
        total = len([*with_scouts(trials)])
        played = list(track(campaign(trials, where), "scans", total, console=SCREEN, refresh_per_second=2))
    scouts = [outcome for outcome in played if outcome.trial.kind == SCOUT]
    outcomes = [outcome for outcome in played if outcome.trial.kind != SCOUT]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy_s = sum(one.ru_utime + one.ru_stime for one in used)
    minutes = (time.monotonic() - begun) / 60
    facts = [
        f"`scanside-sim campaign --scans {wanted.scans} --seed {wanted.seed}`: {wanted.scans} scans in {minutes:.1f} "
        f"minutes, {busy_s / wanted.scans:.2f} s of processor time a scan with that of the plugin; patients: "
        f"{', '.join(wanted.patients)}. A dozen scans of one patient are an exam; each begins with a 3-D scout, which "
        f"does not count ({_of_scouts(scouts)}).",
        "",
        "Shares with their 95 % intervals (Wilson). Faults with a size count from where it matters: "
        + ", ".join(f"{name} {scale.matters:g} {scale.unit}" for name, scale in SCALES.items() if scale.matters)
        + ".",
    ]
    write(outcomes, wanted.out, facts)
    title = f"{wanted.scans} scans: flags (WARN, FAIL) by fault, % of its scans; framed: the check is there for it"
    (wanted.out / "campaign.png").write_bytes(picture(crossed(outcomes), title))
    for row in checks(outcomes):
        SCREEN.print(f"{row.code:24} found {row.found}; in clean scans {row.false}", highlight=False)
    SCREEN.print(f"clean scans with any flag: {any_flag(outcomes)}", highlight=False)
    missing = sum(outcome.missing > 0 for outcome in played)
    broken = sum(bool(outcome.errors) and outcome.clean for outcome in played)
    SCREEN.print(f"{missing} scans without an image, {broken} clean scans with an error. See {wanted.out}/campaign.md")
    return int(bool(missing or broken))

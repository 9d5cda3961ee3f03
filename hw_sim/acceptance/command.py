"""`scanside-sim geometry-check`: run the acceptance test of geometry, print table and verdict."""

import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits

from hw_sim.acceptance.check import CARRIERS, Outcome, cases, check
from hw_sim.errors import SimulationError
from hw_sim.link import Session
from hw_sim.plugin import started
from protocols.geometry import DEVICE_FROM_PATIENT

__all__ = ["geometry_command"]

SCREEN = Console(width=None if sys.stdout.isatty() else 110)
SHOWN = 8  # complaints; the rest is counted
ALL = ("axial", "sagittal", "coronal", "oblique")


def geometry_command(connect: str | None, config: str, tolerance_mm: float, out: Path) -> int:
    """Run all scans of the test; returns the exit code, 1 where a bead lies where it should not."""
    out.mkdir(parents=True, exist_ok=True)
    which = cases()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        host, port = _address(connect) if connect else (None, 0)
        if host is None:
            plugin = stack.enter_context(started(out / "plugin.log"))
            host, port = plugin.host, plugin.port
        running = check(Session(host, port, config), which, tolerance_mm, out)
        outcomes = list(
            track(running, f"{host}:{port}", total=len(which), console=SCREEN, disable=not SCREEN.is_terminal)
        )
    SCREEN.print(_table(outcomes))
    return _verdict(outcomes, tolerance_mm, out)


def _address(connect: str) -> tuple[str, int]:
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit():
        raise SimulationError(f"--connect: got {connect!r}, wanted HOST:PORT, for example 127.0.0.1:9002")
    return host, int(port)


def _table(outcomes: list[Outcome]) -> Table:
    """Worst error of a bead over the eight ways to turn directions round, by position and orientation."""
    title = "Worst bead, mm off (-: not found)"
    table = Table(title=title, title_justify="left")
    table.add_column("patient position")
    for orientation in ALL:
        table.add_column(orientation, justify="right")
    worst: dict[tuple[str, str], float] = defaultdict(float)
    for outcome in outcomes:
        where = outcome.case.position, outcome.case.orientation
        worst[where] = max(worst[where], outcome.worst_mm)
    for position in DEVICE_FROM_PATIENT:
        shown = [worst[position, orientation] for orientation in ALL]
        table.add_row(position, *("-" if mm == float("inf") else f"{mm:.4f}" for mm in shown))
    return table


def _verdict(outcomes: list[Outcome], tolerance_mm: float, out: Path) -> int:
    for carrier in CARRIERS:
        found = [outcome.errors_mm[carrier] for outcome in outcomes if carrier in outcome.errors_mm]
        if found:
            SCREEN.print(f"{carrier + ':':7}{len(found)} scans, worst bead {max(found):.4f} mm off")
    wrong = [outcome for outcome in outcomes if outcome.complaint]
    for outcome in wrong[:SHOWN]:
        SCREEN.print(f"{outcome.case.name}: {outcome.complaint}", style="red", markup=False)
    if len(wrong) > SHOWN:
        SCREEN.print(f"… and {len(wrong) - SHOWN} more", style="red")
    passed = len(outcomes) - len(wrong)
    verdict = "PASS" if not wrong else "FAIL"
    SCREEN.print(f"{verdict}: {passed} of {len(outcomes)} scans within {tolerance_mm:g} mm; files in {out}")
    return int(bool(wrong))

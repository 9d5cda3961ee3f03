"""plan: prescriptions from landmarks on the command line, and what a console made of one."""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from engines.positioning.prescribe import prescribe
from gadgets.console import Site, put_to
from protocols.anatomy import find_anatomy
from protocols.bus_ask import Patience
from protocols.events import Prescription, Severity
from protocols.landmarks import load_landmarks
from protocols.problems import Problem, ProtocolError, nearest
from protocols.stack import plane_names

__all__ = ["plan", "submit", "table"]

PATIENCE: Final = Patience(5.0, 0.5)


def plan(landmarks: Path, anatomy: str, names: Sequence[str]) -> tuple[Prescription, ...]:
    """Prescribe plans by name, or all, of the landmarks' own anatomy unless told; raises ProtocolError."""
    found = load_landmarks(landmarks)
    body = find_anatomy(anatomy or found.anatomy)
    for name in names:
        if name not in body.plans:
            raise ProtocolError([Problem("--plan", name, f"{body.name} has no such plan. {nearest(name, body.plans)}")])
    now_s = time.time()
    return tuple(prescribe(body, name, found, now_s) for name in names or body.plans)


def submit(prescription: Prescription, address: str, keys: Path | None, patience: Patience = PATIENCE) -> list[str]:
    """Ask a console to measure there; returns what is wrong with its answers, [] where it does as it was told."""
    outcomes = put_to(Site(address, keys, patience), prescription)
    return [outcome.text for outcome in outcomes if outcome.severity is not Severity.PASS]


def table(prescriptions: Iterable[Prescription]) -> None:
    """Print where the slices of each prescription lie, and why one is not simply OK."""
    screen = Console(width=None if sys.stdout.isatty() else 130)
    shown = Table(box=SIMPLE)
    for column in ("plan", "status", "plane", "middle, LPS mm", "field of view", "slices", "90 %"):
        shown.add_column(column, no_wrap=True)
    for one in prescriptions:
        shown.add_row(one.plan, one.status, *_where(one))
    screen.print(shown)
    for one in prescriptions:
        for reason in one.reasons:
            screen.print(f"{one.plan}: {reason}", markup=False, highlight=False)


def _where(one: Prescription) -> tuple[str, ...]:
    if one.stack is None:
        return ("-",) * 5
    stack = one.stack
    middle = " ".join(f"{mm:.1f}" for mm in stack.centre_mm)
    view = " x ".join(f"{mm:.0f}" for mm in stack.field_of_view_mm)
    slices = f"{stack.slices} x {stack.thickness_mm:g} + {stack.gap_mm:g}"
    sure = "-" if one.region90_mm is None else f"{one.region90_mm:.1f} mm {one.region90_deg:.1f} deg"
    return plane_names(stack), middle, view, slices, sure

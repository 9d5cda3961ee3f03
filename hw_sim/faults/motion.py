"""Faults of the patient and the table: readouts that follow are measured anew, where the patient then lies.

Coils and field stay where they are, so this is no phase ramp and no turned image: the object itself moves.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hw_sim.devices import AT_REST, Pose
from hw_sim.errors import SimulationError
from hw_sim.faults.fault import Asked
from hw_sim.faults.field import off_resonance, signal
from hw_sim.faults.spoil import remade, spoils
from hw_sim.faults.truth import Truth
from hw_sim.scanner import Played
from protocols.mrd import CALIBRATION, has_flag
from protocols.stream import Node

__all__ = ["breathing", "breathing_field", "cough", "motion", "table_shift", "wrong_calibration"]

LEVELS = 4  # positions of a movement to and fro, besides rest; each is a slice to be computed


def _vector(length: float, axis: float) -> tuple[float, float, float]:
    x, y, z = (length * (axis == number) for number in range(3))
    return x, y, z


def _displaced(asked: Asked, scan: Played, amount: NDArray[np.float64]) -> Played:
    """Return the scan with the patient displaced in each readout (readout,) by that part of the strength."""
    poses = {part: _pose(asked, part) for part in np.unique(amount).tolist()}
    return _moved(scan, [poses[part] for part in amount.tolist()])


def _pose(asked: Asked, part: float) -> Pose:
    keys = asked.keys
    turn_deg = _vector(part * keys.get("turn", 0.0), keys.get("about", 2.0))
    return Pose(_vector(part * asked.strength, keys["along"]), turn_deg)


def _moved(scan: Played, by: Sequence[Pose]) -> Played:
    pairs = list(zip(scan.poses, by, strict=True))
    together = {(pose, more): pose if more == AT_REST else pose.then(more) for pose, more in set(pairs)}
    return replace(scan, poses=tuple(together[pair] for pair in pairs))


def motion(asked: Asked, scan: Played) -> Played:
    """Let the patient move at once and stay there."""
    return _displaced(asked, scan, asked.onwards(scan).astype(np.float64))


def cough(asked: Asked, scan: Played) -> Played:
    """Let the patient move and come back, like half a sine, in steps."""
    gone_s = asked.gone_s(scan)
    inside = (gone_s >= 0) & (gone_s < asked.keys["lasts"])
    height = np.sin(np.pi * gone_s / asked.keys["lasts"])
    return _displaced(asked, scan, np.where(inside, np.ceil(LEVELS * height) / LEVELS, 0.0))


def _breath(asked: Asked, scan: Played) -> NDArray[np.float64]:
    """How far the patient has breathed in (readout,), 0 to 1."""
    gone_s = asked.gone_s(scan)
    breath = 0.5 - 0.5 * np.cos(2 * np.pi * gone_s / asked.keys["period"])
    return np.where((gone_s > 0) & (breath > 1e-9), breath, 0.0)


def breathing(asked: Asked, scan: Played) -> Played:
    """Let the patient move with each breath, in steps."""
    return _displaced(asked, scan, np.round(LEVELS * _breath(asked, scan)) / LEVELS)


def breathing_field(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the main field swing with the breath, as the lungs fill."""
    breath = _breath(asked, scan)

    def remake(samples: NDArray[np.complex64], numbers: NDArray[np.intp]) -> NDArray[np.complex64]:
        return samples * off_resonance(asked.keys["hz"] * breath[numbers], scan, numbers)

    return spoils((breath > 0) & signal(scan), scan, truth, remade(scan.frontend, remake))


def table_shift(asked: Asked, scan: Played) -> Played:
    """Let the table slip towards the head, with patient and coils on it; the headers do not know."""
    slipped = Pose(table_mm=asked.strength)
    return _moved(scan, [slipped if hit else AT_REST for hit in asked.onwards(scan)])


def wrong_calibration(asked: Asked, scan: Played) -> Played:
    """Take the calibration lines, and no others, while the patient lies elsewhere."""
    lines = has_flag(scan.headers["flags"], *CALIBRATION)
    if not lines.any():
        raise SimulationError(
            f"wrong_calibration: {scan.scan.protocol_name} has no calibration lines. Try scanside-sim scan brain_gre_r4"
        )
    return _displaced(asked, scan, lines.astype(np.float64))

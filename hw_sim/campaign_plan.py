"""What a campaign plays: short scans of random patients, half of them with one random fault, and what must find it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hw_sim.errors import SimulationError
from hw_sim.faults import FAULTS, find_fault
from protocols.simulate import Simulate

__all__ = ["CHECKS", "EXAM", "FINDS", "FIRST", "JUDGES", "KINDS", "Kind", "Trial", "draw", "hunted"]

Chance = np.random.Generator


@dataclass(frozen=True, slots=True)
class Kind:
    """A short scan: the scan protocol by which it is judged, and what of its sequence is smaller."""

    protocol: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """One scan of a campaign."""

    number: int
    kind: str
    body: str
    changes: Mapping[str, Any]  # of the [simulate] table
    fault: str = ""  # as `--fault` takes it; "": nothing goes wrong
    exam: int | None = None  # which begins with a scout; None: without one

    @property
    def name(self) -> str:
        """Name of the fault, `none` without one."""
        return self.fault.partition("@")[0].partition(":")[0].partition(",")[0] or "none"


SERIES: Final = {"matrix": (96, 96), "repetitions": 10, "noise_readouts": 32}
STACK: Final = {"matrix": (128, 128), "slices": 3, "noise_readouts": 16}
THREE: Final = {"matrix": (96, 96), "slices": 1, "noise_readouts": 32}
KINDS: Final[Mapping[str, Kind]] = {
    "series": Kind("brain_live_r4", SERIES),
    "stack": Kind("brain_gre_r4", STACK),
    "scout": Kind("scout", THREE),
}
FIRST: Final = Kind("scout_3d", {"noise_readouts": 32})  # of an exam: where the head lies
EXAM: Final = 12  # scans of one patient behind it

# Checks of raw data and images, by the code of their flag, and the faults that each is there for; those that compare
# noise with that of earlier scans find them once a server has seen three of the coils.
CHECKS: Final[Mapping[str, tuple[str, ...]]] = {
    "missing_lines": ("lose_line", "nan_samples"),
    "lost_readouts": ("lose_line",),
    "repeated_lines": ("repeat_line",),
    "readout_order": ("late_line",),
    "non_finite_samples": ("nan_samples",),
    "saturated_samples": ("saturate",),
    "spikes": ("spike",),
    "coil_gain": ("dead_coil",),
    "coil_noise": ("noisy_coil",),
    "noise_drift": ("dead_coil", "detuned_coil", "noisy_coil"),
    "noise_level": ("noise_rise",),
    "gain_change": ("gain_drop",),
    "swapped_coils": ("swapped_coils",),
    "zipper": ("zipper",),
    "phase_drift": ("b0_drift",),
    "phase_jitter": ("phase_instability",),
    "calibration_mismatch": ("motion", "cough", "breathing", "table_shift", "wrong_calibration"),
    "frame_motion": ("motion", "cough"),
    "wrap": ("wrap",),
    "edge_signal": ("wrap",),
}
FINDS: Final[Mapping[str, tuple[str, ...]]] = {
    fault: tuple(code for code, faults in CHECKS.items() if fault in faults) for fault in FAULTS
}
# Kinds of scans that a check is made for, where these are not all: lines that come again, one frame whose calibration
# lines are its own, a scout before it. A scout's own field of view is not judged: a neck reaches beyond any.
JUDGES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("phase_drift", "phase_jitter", "calibration_mismatch"), ("series",)),
    **dict.fromkeys(("frame_motion", "wrap"), ("stack",)),
    "edge_signal": ("series", "stack"),
}
PLAYED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("b0_drift", "phase_instability", "breathing", "table_shift", "wrong_calibration"), ("series",)),
    **dict.fromkeys(("motion", "cough", "wrap"), ("series", "stack")),
}  # kinds of scans in which a fault is played, where these are not all
ENDS: Final = frozenset({"vanish", "cut"})  # a scanner that falls silent is no matter of quality
COILS: Final = 8


def hunted(names: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the faults that a campaign draws from, those given or all; raises SimulationError for a strange one."""
    known = [find_fault(name).name for name in names]
    ends = [name for name in known if name in ENDS]
    if ends:
        raise SimulationError(f"--fault {ends[0]}: it ends the scan, so nothing is left to judge. Try motion")
    return tuple(known) or tuple(name for name in FAULTS if name not in ENDS)


def draw(number: int, seed: int, faults: Sequence[str], clean: float, bodies: Sequence[str]) -> Trial:
    """Draw one scan, each time alike: kind, slices, and the fault if there is one; a dozen in a row are of one patient.

    Noise is the scanner's, so the SNR is drawn once a campaign: from scan to scan only what gives the signal changes.
    """
    chance = np.random.default_rng([seed, number])
    fault = "" if chance.random() < clean else str(chance.choice(list(faults)))
    kind = str(chance.choice(PLAYED.get(fault, tuple(KINDS))))
    changes = {
        **KINDS[kind].changes,
        "centre_mm": tuple(chance.uniform((-8, -8, -15), (8, 8, 35)).tolist()),
        "snr": float(np.random.default_rng(seed).uniform(60, 150)),
    }
    text = _asked(fault, chance, Simulate(**KINDS[kind].changes)) if fault else ""
    exam = number // EXAM
    body = str(np.random.default_rng([seed, exam, EXAM]).choice(list(bodies)))
    return Trial(number, kind, body, changes, text, exam)


def _asked(fault: str, chance: Chance, simulate: Simulate) -> str:
    """A fault with a random place, strength and details, as one would type it; strengths that should be found."""
    coil, other = chance.choice(COILS, 2, replace=False).tolist()
    anywhere = f"{chance.uniform(0, 100):.1f}%"
    place = f"{chance.uniform(15, 70):.1f}%"
    signed = chance.choice([-1, 1])
    along, about = (chance.choice(list("xyz")) for _ in range(2))
    far = f"{signed * chance.uniform(3, 8):.2f},along={along},turn={chance.uniform(0, 4):.2f},about={about}"
    sample = int(chance.integers(simulate.matrix[0] * simulate.oversampling))
    seed = int(chance.integers(1_000_000))
    hertz = chance.uniform(-0.45, 0.45) * 260 * simulate.matrix[0] * simulate.oversampling
    words = {
        "lose_line": f"@{place}:{chance.integers(1, 4)}",
        "repeat_line": f"@{place}:{chance.integers(1, 4)}",
        "late_line": f"@{place}:{chance.integers(2, 16)}",
        "nan_samples": f"@{place},coil={coil}",
        "saturate": f"@{place}:{chance.uniform(1.5, 8):.2f}",
        "spike": f"@{anywhere}:{chance.uniform(15, 150):.1f},coil={coil},sample={sample},seed={seed}",
        "dead_coil": f",coil={coil}",
        "detuned_coil": f":6,coil={coil},seed={seed}",
        "noisy_coil": f":{chance.uniform(3, 10):.2f},coil={coil},seed={seed}",
        "swapped_coils": f",coil={coil},with={other}",
        "gain_drop": f"@{place}:6,coil={coil}",
        "noise_rise": f":{chance.uniform(2, 4):.2f},seed={seed}",
        "zipper": f":{chance.uniform(2, 10):.2f},hz={hertz:.0f},seed={seed}",
        "b0_drift": f":{signed * chance.uniform(20, 60):.1f}",
        "phase_instability": f":{chance.uniform(10, 40):.1f},seed={seed}",
        "motion": f"@{place}:{far}",
        "cough": f"@{place}:{far},lasts=0.4",
        "breathing": f":{chance.uniform(1, 3):.2f},period=1",
        "table_shift": f"@{place}:{chance.uniform(4, 10):.2f}",
        "wrong_calibration": f":{far}",
        "wrap": f":{chance.uniform(50, 85):.1f}",
    }
    return fault + words[fault]

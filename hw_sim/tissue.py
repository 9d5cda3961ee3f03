"""Tissues and the closed-form contrast equations."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, radians, sin
from typing import Final, TypeAlias

from protocols.simulate import Simulate

__all__ = ["AIR", "TISSUES", "Contrast", "Tissue", "contrast", "spin_echo", "spoiled_gradient_echo"]


@dataclass(frozen=True, slots=True)
class Tissue:
    """What the contrast equations need to know of a tissue at 3 T."""

    name: str
    proton_density: float
    t1_ms: float
    t2_ms: float
    t2star_ms: float


FAT_LEFT: Final = 0.1  # of the signal of fat after a saturation pulse
Contrast: TypeAlias = Callable[[Tissue], float]

# Rounded from Stanisz et al., Magn Reson Med 2005; 54:507, and Wansapura et al., J Magn Reson Imaging 1999; 9:531.
TISSUES: Final = {
    tissue.name: tissue
    for tissue in (
        Tissue("white", 0.70, 1080.0, 70.0, 50.0),
        Tissue("grey", 0.82, 1800.0, 100.0, 60.0),
        Tissue("csf", 1.00, 4200.0, 1800.0, 800.0),
        Tissue("bone", 0.08, 400.0, 2.0, 1.0),
        Tissue("fat", 0.90, 380.0, 130.0, 40.0),
        Tissue("muscle", 0.80, 1420.0, 32.0, 25.0),
        Tissue("water", 1.00, 3000.0, 1500.0, 300.0),
        Tissue("gel", 0.90, 600.0, 90.0, 60.0),
    )
}
AIR: Final = Tissue("air", 0.0, 1.0, 1.0, 1.0)


def spoiled_gradient_echo(tissue: Tissue, tr_ms: float, te_ms: float, flip_deg: float) -> float:
    """Steady-state signal of an ideally spoiled gradient echo, in units of the proton density of water.

    Ernst & Anderson, Rev Sci Instrum 1966; 37:93.
    """
    recovered = exp(-tr_ms / tissue.t1_ms)
    steady = sin(radians(flip_deg)) * (1 - recovered) / (1 - recovered * cos(radians(flip_deg)))
    return tissue.proton_density * steady * exp(-te_ms / tissue.t2star_ms)


def spin_echo(tissue: Tissue, tr_ms: float, te_ms: float) -> float:
    """Signal of a 90-180 degree spin echo with TE much shorter than TR, in units of the proton density of water."""
    return tissue.proton_density * (1 - exp(-tr_ms / tissue.t1_ms)) * exp(-te_ms / tissue.t2_ms)


def contrast(simulate: Simulate, slices: int) -> Contrast:
    """Signal of a tissue in this scan; slices share the time between two shots of one slice if interleaved."""
    between_shots_ms = simulate.tr_ms * (slices if simulate.interleaved else 1)
    tr_ms = simulate.repetition_ms or between_shots_ms

    def signal(tissue: Tissue) -> float:
        left = FAT_LEFT if simulate.fat_saturation and tissue.name == "fat" else 1.0
        if simulate.sequence == "se":
            return left * spin_echo(tissue, tr_ms, simulate.te_ms)
        return left * spoiled_gradient_echo(tissue, tr_ms, simulate.te_ms, simulate.flip_deg)

    return signal

"""Contrasts: what a sequence makes of tissues, as curves over T1 intensity."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEPS", "Curve", "tissue_curves", "tissue_signals"]

STEPS: Final = 1024  # of T1 intensity that a curve is tabulated at
NAMES: Final = ("csf", "grey", "white", "bone", "muscle", "fat")
# Proton density, T1 and T2 in ms at 3 T: Stanisz et al., Magn Reson Med 2005; 54:507, rounded.
PROPERTIES: Final = np.array(
    [[1.0, 4200, 1500], [0.82, 1800, 100], [0.70, 1080, 70], [0.08, 400, 2], [0.80, 1420, 32], [0.90, 380, 130]]
)
Curve = NDArray[np.float32]  # (STEPS,) signal of T1 intensity 0 to 1


@dataclass(frozen=True, slots=True)
class _Sequence:
    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    flip_deg: float = 90.0


def _draw(chance: np.random.Generator) -> _Sequence:
    """Draw a T1, T2, proton density, FLAIR or inversion-recovery weighted sequence."""
    kind = chance.integers(5)
    if kind == 0:
        return _Sequence(chance.uniform(250, 900), chance.uniform(3, 20), flip_deg=chance.uniform(40, 90))
    if kind == 1:
        return _Sequence(chance.uniform(2500, 7000), chance.uniform(60, 120))
    if kind == 2:
        return _Sequence(chance.uniform(2000, 4000), chance.uniform(8, 35), flip_deg=chance.uniform(20, 90))
    if kind == 3:
        return _Sequence(chance.uniform(7000, 10000), chance.uniform(70, 130), chance.uniform(2000, 2700))
    return _Sequence(chance.uniform(1800, 3000), chance.uniform(3, 15), chance.uniform(400, 1100))


def tissue_signals(chance: np.random.Generator) -> dict[str, float]:
    """Magnitude of each tissue in a random scan, the brightest 1: a sequence's, or (one in five) anything."""
    if chance.random() < 0.2:
        values = chance.uniform(0, 1, len(NAMES)) ** 1.3
    else:
        density, t1_ms, t2_ms = (PROPERTIES * np.exp(0.12 * chance.standard_normal(PROPERTIES.shape))).T
        scan = _draw(chance)
        left = np.exp(-scan.tr_ms / t1_ms)
        flip = np.deg2rad(scan.flip_deg)
        along = (1 - left) / (1 - left * np.cos(flip)) * np.sin(flip)
        if scan.ti_ms:
            along = np.abs(1 - 2 * np.exp(-scan.ti_ms / t1_ms) + left)
        values = density * along * np.exp(-scan.te_ms / t2_ms)
        if chance.random() < 0.4:
            values[5] *= chance.uniform(0.05, 0.4)  # fat saturation
    return dict(zip(NAMES, (values / max(values.max(), 1e-6)).tolist(), strict=True))


def tissue_curves(chance: np.random.Generator, levels: tuple[float, float, float]) -> tuple[Curve, Curve]:
    """Curves of one random scan: for brain, with CSF, grey and white matter at T1 `levels`, and for what is round it.

    Between the levels a curve is a stair with random sharpness: it makes crisp borders of volumes of 2 mm voxels. One
    scan in five keeps the T1 contrast, but for the stair.
    """
    csf, grey, white = levels
    outer = np.array([0.0, 0.12, 0.45 * white / 0.6, 0.95])
    if chance.random() < 0.2:
        inner_values, outer_values = np.array([0.0, csf, grey, white]), outer
    else:
        signal = tissue_signals(chance)
        inner_values = np.array([signal["csf"] * 0.9, signal["csf"], signal["grey"], signal["white"]])
        outer_values = np.array([0.0, signal["bone"], signal["muscle"], signal["fat"]])
    sharp = chance.uniform(0.3, 1.0)
    slope = chance.uniform(0.1, 0.8)
    inner = _stair(np.array([0.0, csf, grey, white]), inner_values, sharp, slope)
    return inner, _stair(outer, outer_values, sharp, slope)


def _stair(at: NDArray[np.float64], values: NDArray[np.float64], sharp: float, slope: float) -> Curve:
    """From value to value around the middles between the levels; `sharp` is the share of the way a step takes."""
    level = np.linspace(0, 1, STEPS)
    total = np.full(STEPS, values[0])
    for left, right, rise in zip(at[:-1], at[1:], np.diff(values), strict=True):
        middle, reach = (left + right) / 2, (right - left) * sharp / 2
        total += rise * np.clip((level - middle) / (2 * reach) + 0.5, 0, 1)
    spread = slope * (np.interp(level, at, values) - total)
    return (total + spread).clip(0).astype(np.float32)

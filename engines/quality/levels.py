"""Levels: the noise of an array in one scan against that in earlier scans."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.noise import bandwidth_scale

__all__ = ["Change", "change", "noise_db"]

FLOOR: Final = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What the noise of an array has changed by, in dB."""

    common: float  # of the median coil: receiver gain and load change that too
    coil: NDArray[np.float64]  # (coil,) beyond the median coil


def noise_db(covariance: NDArray[Any], dwell_us: float) -> NDArray[np.float64]:
    """Noise (coil,) in dB of a covariance (coil, coil), as if sampled with a dwell time of 1 us."""
    power = np.real(np.diag(covariance)).astype(np.float64) * bandwidth_scale(1.0, dwell_us) ** 2
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power, FLOOR))
    return level


def change(now: NDArray[np.float64], earlier: NDArray[np.float64]) -> Change:
    """Compare levels (coil,) in dB with those of earlier scans (scan, coil), by their median: one odd scan is none."""
    moved = now - np.median(earlier, axis=0)
    common = float(np.median(moved))
    return Change(common, moved - common)

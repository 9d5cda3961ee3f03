"""Levels: the noise of an array in one scan against that in earlier scans."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.noise import bandwidth_scale

__all__ = ["Change", "change", "noise_db"]

FLOOR: Final = 1e-30
SPREAD: Final = 3 * 1.4826  # three standard deviations from the median distance to the median
RANGE: Final = (10, 90)  # % of earlier scans between which gain lies, where patients are of two kinds
FEW: Final = 8  # scans of which the largest distance counts, too: a median of few may be small by chance


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What the noise of an array has changed by, in dB."""

    common: float  # of the median coil: receiver gain and load change that too
    coil: NDArray[np.float64]  # (coil,) beyond the median coil
    scatter: (
        float  # how far earlier scans lay from their median, all coils together: gain differs from patient to patient
    )

    @property
    def beyond(self) -> float:
        """How much further the array has changed than earlier scans scattered."""
        return max(abs(self.common) - self.scatter, 0.0)


def noise_db(covariance: NDArray[Any], dwell_us: float) -> NDArray[np.float64]:
    """Noise (coil,) in dB of a covariance (coil, coil), as if sampled with a dwell time of 1 us."""
    power = np.real(np.diag(covariance)).astype(np.float64) * bandwidth_scale(1.0, dwell_us) ** 2
    level: NDArray[np.float64] = 10 * np.log10(np.maximum(power, FLOOR))
    return level


def change(now: NDArray[np.float64], earlier: NDArray[np.float64]) -> Change:
    """Compare levels (coil,) in dB with those of earlier scans (scan, coil), by their median: one odd scan is none.

    Gains that follow two patients are two values, whose distance from their median is no standard deviation: scans
    scatter no further than all but the outermost of them lie.
    """
    middle = np.median(earlier, axis=0)
    common = float(np.median(now - middle))
    off = np.median(earlier - middle, axis=1)
    scatter = SPREAD * float(np.median(np.abs(off)))
    if len(off) < FEW:
        scatter = max(scatter, float(np.abs(off).max()))
    else:
        scatter = min(scatter, float(np.abs(np.percentile(off, RANGE)).max()))
    return Change(common, now - middle - common, scatter)

"""Coils: what noise and the first lines tell of each, against the others of the array."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEAD_DB", "Pair", "closest_pair", "in_db", "level_db"]

DEAD_DB: Final = -40.0  # weaker than this against the array's median is no coil at all
FLOOR: Final = 1e-12  # of the median, so that nothing at all has a finite level: -120 dB


@dataclass(frozen=True, slots=True)
class Pair:
    """Two coils and the correlation of their noise, 0 to 1."""

    first: int
    second: int
    correlation: float


def in_db(power: NDArray[np.floating]) -> NDArray[np.float64]:
    """Power (coil,) in dB against the median coil's; all zero where no coil has any."""
    wide = np.asarray(power, np.float64)
    alive = wide[wide > 0]
    if not len(alive):
        return np.zeros(len(wide))
    reference = float(np.median(alive))
    return np.asarray(10 * np.log10(np.maximum(wide / reference, FLOOR)))


def level_db(peak_power: NDArray[np.floating], noise_power: NDArray[np.floating]) -> NDArray[np.float64]:
    """Strongest signal by noise (coil,) in dB against the median coil; a coil without noise has no level: -120 dB.

    The gain of a receiver cancels. What is left varies with the place of the coil, by 6 to 13 dB in head arrays; a
    coil that hears nothing is where its noise is, whatever the place.
    """
    noise = np.asarray(noise_power, np.float64)
    return in_db(np.where(noise > 0, peak_power / np.where(noise > 0, noise, 1), 0.0))


def closest_pair(covariance: NDArray[np.complexfloating]) -> Pair | None:
    """The two coils (of a covariance (coil, coil)) whose noise is most alike; None with fewer than two living coils."""
    power = np.real(np.diag(covariance))
    alive = np.flatnonzero(power > 0)
    if len(alive) < 2:
        return None
    kept = covariance[np.ix_(alive, alive)] / np.sqrt(np.outer(power[alive], power[alive]))
    likeness = np.triu(np.abs(kept), 1)
    first, second = np.unravel_index(int(np.argmax(likeness)), likeness.shape)
    return Pair(int(alive[first]), int(alive[second]), float(likeness[first, second]))

"""Gain: the noise of each coil while a scan goes on, from where k-space holds little else."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ends_of", "floor_db"]

SHORTEST: Final = 16  # samples of either end that are taken, or half of the readout
SHARE: Final = 8  # of a readout that either end is, at least
ORDER: Final = (
    4  # of the difference that leaves noise: of a signal that fills half of the field of view next to nothing
)
NOISE: Final = 70.0  # E|d|^2 of that difference of noise with E|n|^2 = 1
FLOOR: Final = 1e-30


def ends_of(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Both ends (coil, 2, readout, sample) of readouts (readout, coil, sample), a copy."""
    length = samples.shape[2]
    reach = min(max(length // SHARE, SHORTEST), length // 2)
    return np.stack([samples[..., :reach], samples[..., length - reach :]]).transpose(2, 0, 1, 3).copy()


def floor_db(ends: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Noise power (coil,) in dB of ends (coil, 2, readout, sample), by the median, so that spikes do not count.

    What is left of signal without oversampling raises it; the same lines of k-space have the same of it.
    """
    odd = np.diff(ends, ORDER, axis=3)
    power = (np.square(odd.real) + np.square(odd.imag)).reshape(len(odd), -1)
    ordered = np.sort(power, axis=1)
    level: NDArray[np.float64] = ordered[:, ordered.shape[1] // 2].astype(np.float64) / (np.log(2) * NOISE)
    return 10 * np.log10(np.maximum(level, FLOOR))

"""Interference: a transmitter that is heard at one frequency in every readout, and draws a zipper across the image."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

__all__ = ["heights_db", "log_spectrum", "offset_hz"]

AROUND: Final = 8  # columns on either side that a line is compared with
WIDTH: Final = 2  # columns on either side that may belong to the line itself
FLOOR: Final = 1e-30


def log_spectrum(samples: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Sum over readouts of ln(power) (coil, column) of samples (readout, coil, sample), zero frequency at n // 2.

    The logarithm makes a line that stands in every readout outweigh signal that is strong in a few of them.
    """
    spectrum = fft(samples, axis=2)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    logs = np.log(np.maximum(power, FLOOR)).sum(axis=0)
    shifted: NDArray[np.float32] = np.fft.fftshift(logs, axes=1).astype(np.float32)
    return shifted


def heights_db(logs: NDArray[np.floating], readouts: int) -> NDArray[np.float64]:
    """How far each column (column,) stands above its neighbourhood, from the sum of log_spectrum over `readouts`.

    Coils are compared each with itself and then averaged, so that no coil's gain counts. The neighbourhood is the
    higher of the medians to the left and to the right, and of the two columns just beyond a line's own: the edge of an
    object is no line, and a small bright object, which stands in every readout too, is wider than one.
    """
    mean = np.asarray(logs, np.float64) / readouts
    steps = np.arange(WIDTH + 1, AROUND + 1)
    place = np.arange(logs.shape[1])
    sides = [np.median(mean[:, (place[:, None] + sign * steps) % logs.shape[1]], axis=2) for sign in (-1, 1)]
    around = [np.maximum(*sides), *(np.roll(mean, sign * WIDTH, axis=1) for sign in (-1, 1))]
    height: NDArray[np.float64] = (10 / np.log(10)) * np.min([(mean - level).mean(axis=0) for level in around], axis=0)
    return height


def offset_hz(column: int, columns: int, dwell_us: float) -> float:
    """Frequency of a column from the receiver's centre, in Hz: columns span the bandwidth 1 / dwell."""
    return (column - columns // 2) / columns * 1e6 / dwell_us

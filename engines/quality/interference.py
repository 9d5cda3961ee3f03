"""Interference: a transmitter that is heard at one frequency in every readout, and draws a zipper across the image."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

__all__ = ["heights_db", "log_spectrum", "offset_hz"]

AROUND: Final = 8  # columns on either side that a line is compared with, but the nearest two: six
WIDTH: Final = 2  # columns on either side that may belong to the line itself
FLOOR: Final = 1e-30
EXCHANGES: Final = ((1, 2), (4, 5), (0, 2), (3, 5), (0, 1), (3, 4), (2, 5), (0, 3), (1, 4), (2, 4), (1, 3))  # of six
TOGETHER: Final = 4  # readouts that are transformed together, so that they stay in the processor's cache


def log_spectrum(samples: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Sum over readouts of ln(power) (coil, column) of samples (readout, coil, sample), zero frequency at n // 2.

    The logarithm makes a line that stands in every readout outweigh signal that is strong in a few of them.
    """
    logs = np.zeros(samples.shape[1:], np.float32)
    for first in range(0, len(samples), TOGETHER):
        spectrum = fft(samples[first : first + TOGETHER], axis=2)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        np.maximum(power, FLOOR, out=power)
        logs += np.log(power, out=power).sum(axis=0)
    shifted: NDArray[np.float32] = np.fft.fftshift(logs, axes=1)
    return shifted


def heights_db(logs: NDArray[np.floating], readouts: int) -> NDArray[np.float64]:
    """How far each column (column,) stands above its neighbourhood, from the sum of log_spectrum over `readouts`.

    Coils are compared each with itself and then averaged, so that no coil's gain counts. The neighbourhood is the
    higher of the medians to the left and to the right, and of the two columns just beyond a line's own: the edge of an
    object is no line, and a small bright object, which stands in every readout too, is wider than one.
    """
    mean = np.asarray(logs, np.float64) / readouts
    right = np.roll(_median_of_next_six(mean), -WIDTH - 1, axis=1)
    sides = np.roll(right, AROUND + WIDTH + 1, axis=1), right
    around = [np.maximum(*sides), *(np.roll(mean, sign * WIDTH, axis=1) for sign in (-1, 1))]
    height: NDArray[np.float64] = (10 / np.log(10)) * np.min([(mean - level).mean(axis=0) for level in around], axis=0)
    return height


def _median_of_next_six(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median (row, column) of each column of values (row, column) and the five behind it; the row is a circle.

    By exchanges of whole arrays (Knuth, The Art of Computer Programming 3, 5.3.4), a tenth of the time of np.median.
    """
    six = [np.roll(values, -step, axis=1) for step in range(6)]
    for first, second in EXCHANGES:
        six[first], six[second] = np.minimum(six[first], six[second]), np.maximum(six[first], six[second])
    middle: NDArray[np.float64] = (six[2] + six[3]) / 2
    return middle


def offset_hz(column: int, columns: int, dwell_us: float) -> float:
    """Frequency of a column from the receiver's centre, in Hz: columns span the bandwidth 1 / dwell."""
    return (column - columns // 2) / columns * 1e6 / dwell_us

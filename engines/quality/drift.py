"""Drift: how phase and echo of a line of k-space change when the same line is measured again and again."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, fftfreq

__all__ = ["Change", "FirstLine", "Trend", "compare", "first_line", "trend"]

MOST_POINTS: Final = 128  # of a series, for its pairs to be few


@dataclass(frozen=True, slots=True, eq=False)
class FirstLine:
    """A line as it was measured first, ready to be compared with."""

    image: NDArray[np.complex64]  # (coil, sample) its Fourier transform along the readout
    energy: float


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of a line since it was measured first."""

    phase_rad: float
    shift: float  # of the echo, in samples, positive: later
    likeness: float  # 0 to 1; 1: nothing else has changed


@dataclass(frozen=True, slots=True)
class Trend:
    """Course of a phase over time."""

    whole_rad: float  # what the steady part of it changes from the first to the last time
    jitter_rad: float  # standard deviation about the steady part, robust


def first_line(line: NDArray[np.complex64]) -> FirstLine:
    """Keep of a line (coil, sample) what it takes to compare others with it."""
    return FirstLine(fft(line, axis=1), float(np.vdot(line, line).real))


def compare(line: NDArray[np.complex64], first: FirstLine) -> Change:
    """Compare a line (coil, sample) with how it was first, all coils together.

    The shift is the slope of the phase along the image of the readout, the phase what is left in its middle; coils and
    pixels count by their power.
    """
    count = line.shape[1]
    cross = (fft(line, axis=1) * first.image.conj()).sum(axis=0)
    shift = float(np.angle(np.vdot(np.roll(cross, -1), cross))) * count / (2 * np.pi)
    product = complex(np.dot(cross, np.exp(2j * np.pi * shift * fftfreq(count)))) / count
    likeness = abs(product) / np.sqrt(max(float(np.vdot(line, line).real) * first.energy, 1e-60))
    return Change(float(np.angle(product)), shift, float(likeness))


def trend(times: NDArray[np.floating], phases_rad: NDArray[np.floating]) -> Trend:
    """Split phases (point,) at rising times into a steady drift and what is about it.

    The slope is the median of the slopes of all pairs of points (Theil, Proc K Ned Akad Wet 1950; 53:386), so that
    single shots do not bend it. Phases may wrap, but not by more than half a turn from point to point.
    """
    every = -(-len(times) // MOST_POINTS)
    when, phase = np.asarray(times, np.float64)[::every], np.unwrap(phases_rad)[::every]
    first, second = np.triu_indices(len(when), 1)
    apart = when[second] - when[first]
    slopes = (phase[second] - phase[first])[apart > 0] / apart[apart > 0]
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    return Trend(slope * float(times[-1] - times[0]), _spread(phase - slope * when))


def _spread(values: NDArray[np.floating]) -> float:
    """Standard deviation that single values do not widen: the lower quartile of their distances from each other.

    Of ten values it comes out below half of what it is once in twelve, their median distance from the median once in
    six. Rousseeuw & Croux, J Am Stat Assoc 1993; 88:1273.
    """
    count = len(values)
    if count < 2:
        return 0.0
    first, second = np.triu_indices(count, 1)
    half = count // 2 + 1
    few = count / (count + (1.4 if count % 2 else 3.8))
    apart = np.partition(np.abs(values[first] - values[second]), half * (half - 1) // 2 - 1)
    return 2.2219 * few * float(apart[half * (half - 1) // 2 - 1])

"""Motion: whether lines of k-space still belong to the object that the same lines showed before."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft

__all__ = ["Shift", "displacement", "unexplained"]

FURTHEST: Final = 12.0  # pixels either way that a displacement is looked for
STEP: Final = 0.25  # pixels
BAND: Final = 32  # samples of k-space on either side of its centre that a displacement along the readout is taken from


@dataclass(frozen=True, slots=True)
class Shift:
    """Displacement of an object in pixels."""

    along_phase: float
    along_read: float


def unexplained(lines: NDArray[np.complex64], before: NDArray[np.complex64], noise: float = 0.0) -> float:
    """Part of the amplitude of lines (coil, line, x) that the same lines `before` do not explain, 0 to 1.

    A common factor, gain and phase of the receiver, is no difference. `noise` is E|n|^2 of a sample of either, whose
    part is taken off. Lines without signal have nothing to explain: 0.
    """
    energy, earlier = (float(np.vdot(part, part).real) for part in (lines, before))
    if energy <= 0 or earlier <= 0:
        return 0.0
    power = abs(complex(np.vdot(before, lines))) ** 2 / earlier
    expected = noise * lines.size * (1 + power / earlier)
    return float(np.sqrt(max(energy - power - expected, 0.0) / energy))


def displacement(
    lines: NDArray[np.complex64], before: NDArray[np.complex64], rows: NDArray[np.integer], count: int
) -> Shift:
    """Estimate how far the object of lines (coil, line, x) lies from where the same lines saw it before.

    The displacement whose phase ramp brings the two together best, all coils at once: coils stay where they are, so it
    is a little too small. `rows` (line,) are counted from k = 0, of a matrix of `count`; along them displacements are
    looked for up to half of `count` by their common distance, from where on they repeat. Kuglin & Hines, Proc Int Conf
    Cybernetics and Society 1975; 163.
    """
    width = lines.shape[2]
    wide = np.fft.fftfreq(width) * width
    near = np.abs(wide) <= BAND
    then, now = (fft(np.fft.ifftshift(part, axes=2), axis=2)[:, :, near] for part in (before, lines))
    common = (now * then.conj()).sum(axis=0)
    distance = max(int(np.gcd.reduce(np.diff(rows))), 1)
    down, right = candidates(min(FURTHEST, count / distance / 2 - STEP)), candidates(FURTHEST)
    along_phase = np.exp(2j * np.pi * np.outer(down, rows) / count)
    along_read = np.exp(2j * np.pi * np.outer(wide[near], right) / width)
    height = np.abs(along_phase @ common @ along_read)
    phase, read = np.unravel_index(int(np.argmax(height)), height.shape)
    return Shift(float(down[phase]), float(right[read]))


def candidates(furthest: float) -> NDArray[np.float64]:
    """Return the displacements in pixels that are tried, 0 among them."""
    count = int(furthest / STEP)
    return np.linspace(-count * STEP, count * STEP, 2 * count + 1)

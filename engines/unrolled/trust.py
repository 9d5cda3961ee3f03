"""Trust: lines that were acquired but withheld from the network, predicted from its image; no reference is needed.

A residual on lines that were used says nothing of what a network invents between them. Lines that it has not seen do:
cross-validation, per image, on the split of SSDU (Yaman et al., Magn Reson Med 2020; 84:3172). The companion that it is
compared with is P b, the SENSE image that the network begins with: it has not seen them either.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import Columns
from engines.linear.preconditioned import prepare_iteration, solve_from

__all__ = [
    "Trust",
    "explained",
    "fourier_rows",
    "judge",
    "predicted_lines",
    "samples_of",
    "solve_companion",
    "withheld_lines",
]

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Complex = NDArray[np.complex64]

NEAREST: Final = 0.3  # of the way from the centre to the edge of k-space; see README.md for what it costs and catches
REACH: Final = 0.3  # as far beyond the nearest the farthest one lies
ENOUGH: Final = (40, 3e-3)  # iterations and residual that find the companion's error to a percent
FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Trust:
    """Error of the withheld samples in units of the noise: 1 is as good as any prediction can be."""

    error: float
    linear: float  # of the linear companion
    lines: int  # how many were withheld

    @property
    def ratio(self) -> float:
        """Error by the companion's: below 1 the network knows more than the linear image."""
        return self.error / self.linear if self.linear else float("nan")


def withheld_lines(acquired: Mask, share: float, nearest: float = NEAREST) -> Mask:
    """Choose lines (line,) to withhold: `share` of the acquired ones, at least two, always the same for a mask.

    They lie at growing distances from the centre, on either side by turns. A line between two acquired neighbours could
    be guessed from them; such lines (a calibration block) are taken only where there are no others.
    """
    lines = len(acquired)
    rows = np.flatnonzero(acquired)
    away = np.abs(rows - lines // 2) / (lines / 2)
    alone = ~(np.pad(acquired, 1)[rows] & np.pad(acquired, 1)[rows + 2])
    useful = (away >= nearest) & (away <= nearest + REACH)
    count = max(FEWEST, round(share * len(rows)))
    choices = (rows[useful & alone], rows[useful], rows[away >= nearest])
    left = next((some for some in choices if len(some) >= 2 * count), choices[-1])
    chosen = np.zeros(lines, np.bool_)
    for n in range(min(count, len(left))):
        reach = lines / 2 * (nearest + REACH * (n + 0.5) / count)
        at = int(np.argmin(np.abs(left - (lines // 2 + (-1) ** n * reach))))
        chosen[left[at]] = True
        left = np.delete(left, at)
    return chosen


def predicted_lines(problem: Columns, rows: Rows, pixels: Complex) -> Complex:
    """Samples (coil, line, column) at some lines of k-space of an image (row, column) of the box: F S rho."""
    transform = fourier_rows(problem, rows)
    predicted = np.empty((len(problem.maps), len(rows), pixels.shape[1]), np.complex64)
    product = np.empty_like(pixels)
    for sensitivity, lines in zip(problem.maps, predicted, strict=True):
        np.matmul(transform, np.multiply(sensitivity, pixels, out=product), out=lines)
    return predicted


def solve_companion(problem: Columns, right_hand_side: Complex) -> Complex:
    """The companion itself (row, column), by iteration: some 30 ms, where there is no inverse."""
    return solve_from(prepare_iteration(problem), right_hand_side, None, *ENOUGH)


def judge(gram: Complex, measured: Complex, network: Complex, companion: Complex) -> Trust:
    """Compare predictions (coil, line, column) with what was measured, its noise white with sigma 1.

    Errors e are weighed by what coils can see of an object, |A^H e| with A = F S, where white noise has the energy
    tr(A A^H): noise that no object explains does not hide an error there. `gram` is made by explained().
    """
    expected = float(np.einsum("xii->", gram).real)

    def error(predicted: Complex) -> float:
        wrong = (predicted - measured).reshape(-1, len(gram)).T[..., None]
        energy = float(np.vdot(wrong, gram @ wrong).real)
        return float(np.sqrt(max(energy, 0.0) / expected)) if expected else float("nan")

    return Trust(error(network), error(companion), measured.shape[1])


def explained(problem: Columns, rows: Rows) -> Complex:
    """A A^H (column, coil * line, coil * line) of A = F S at some lines of k-space; some ten milliseconds."""
    samples = samples_of(problem.maps, fourier_rows(problem, rows))
    gram: Complex = samples @ samples.conj().swapaxes(1, 2)
    return gram


def samples_of(maps: Complex, transform: Complex) -> Complex:
    """F S (column, coil * line, row) of maps (coil, row, column) and rows of F (line, row)."""
    seen = maps.transpose(2, 0, 1)
    return (seen[:, :, None] * transform).reshape(len(seen), -1, seen.shape[2])


def fourier_rows(problem: Columns, rows: Rows) -> Complex:
    """Rows of F (line, row of the box)."""
    lines = problem.shape[0]
    turns = np.outer(rows - lines // 2, problem.rows - lines // 2) % lines / lines
    return (np.exp(-2j * np.pi * turns) / np.sqrt(lines)).astype(np.complex64)

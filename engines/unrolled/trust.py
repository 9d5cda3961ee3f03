"""Trust: lines that were acquired but withheld from the network, predicted from its image; no reference is needed.

A residual on lines that were used says nothing of what a network invents between them. Lines that it has not seen do:
cross-validation, per image, on the split of SSDU (Yaman et al., Magn Reson Med 2020; 84:3172). The companion that it is
compared with is the SENSE image of the same lines, made without the withheld ones too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import Columns, never, normal_matrices, point_spread
from engines.linear.preconditioned import prepare_iteration, solve_from

__all__ = [
    "Predictor",
    "Trust",
    "companion_lines",
    "explained",
    "fourier_rows",
    "judge",
    "predicted_lines",
    "prepare_predictor",
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
COMPANION: Final = 0.01  # lambda of the companion: the one that predicts best (0.001 to 0.2 tried)
FEWEST: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """The companion's word on the withheld lines, and what an object can contribute to them; one matrix a column."""

    weights: Complex  # (column, coil * withheld line, row): from the right-hand side b to the samples
    gram: Complex  # (column, coil * withheld line, coil * withheld line): A A^H of A = F S, see judge


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


def companion_lines(predictor: Predictor, right_hand_side: Complex, coils: int) -> Complex:
    """Samples (coil, line, column) that the linear companion predicts from b (row, column)."""
    samples = (predictor.weights @ right_hand_side.T[..., None])[..., 0]
    return samples.T.reshape(coils, -1, len(samples))


def solve_companion(problem: Columns, right_hand_side: Complex) -> Complex:
    """The companion itself (row, column), by iteration: some 30 ms, where there is no predictor."""
    iteration = prepare_iteration(replace(problem, regularisation=COMPANION))
    return solve_from(iteration, right_hand_side, None, *ENOUGH)


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


def prepare_predictor(
    problem: Columns,
    rows: Rows,
    cancelled: Callable[[], bool] = never,
    regularisation: float = COMPANION,
    at_once: int = 8,
) -> Predictor | None:
    """Make F S (N + lambda)^-1 of every column, some tenths of a second; None when `cancelled` says to stop.

    `problem` states the lines that are used, `regularisation` is the companion's.
    """
    linear = replace(problem, regularisation=regularisation)
    coils, height, width = linear.maps.shape
    spread, transform = point_spread(linear), fourier_rows(linear, rows)
    weights = np.zeros((width, coils * len(rows), height), np.complex64)
    for start in range(0, width, at_once):
        if cancelled():
            return None
        part = slice(start, min(start + at_once, width))
        seen = np.flatnonzero((linear.maps[:, :, part] != 0).any((0, 2)))
        if len(seen):
            reach = slice(int(seen[0]), int(seen[-1]) + 1)
            weights[part, :, reach] = _solved(linear, part, reach, spread, transform[:, reach])
    return Predictor(weights, explained(problem, rows))


def _solved(linear: Columns, part: slice, reach: slice, spread: Complex, transform: Complex) -> Complex:
    """A (N + lambda)^-1 (column, coil * line, row) by way of its adjoint, which is a solution for few right sides."""
    samples = samples_of(linear.maps[:, reach, part], transform)
    solved: Complex = np.linalg.solve(normal_matrices(linear, part, spread, reach), samples.conj().swapaxes(1, 2))
    return solved.conj().swapaxes(1, 2)


def samples_of(maps: Complex, transform: Complex) -> Complex:
    """F S (column, coil * line, row) of maps (coil, row, column) and rows of F (line, row)."""
    seen = maps.transpose(2, 0, 1)
    return (seen[:, :, None] * transform).reshape(len(seen), -1, seen.shape[2])


def fourier_rows(problem: Columns, rows: Rows) -> Complex:
    """Rows of F (line, row of the box)."""
    lines = problem.shape[0]
    turns = np.outer(rows - lines // 2, problem.rows - lines // 2) % lines / lines
    return (np.exp(-2j * np.pi * turns) / np.sqrt(lines)).astype(np.complex64)

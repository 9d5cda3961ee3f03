"""Withheld lines, given back to the image when it has been judged by them.

The image x is what the network and the other lines say. The withheld ones y = A x + n, A = F S, change it by
P A^H (A P A^H + 1)^-1 (y - A x): the least squares of all lines and of x, held as firmly as a consistent step holds it
(problem.py). It is what a Kalman filter does with a late measurement.

The filter takes x for no better than N makes it; a network's is better where it errs by no more than noise, and all of
the change would put noise back. So as much of it is made as the error is more than noise, by James-Stein's factor
(Stein, Proc 3rd Berkeley Symp 1956; 1:197) twice: once for what is noise in the error, once for what it does to x.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import never
from engines.unrolled.problem import NetworkProblem
from engines.unrolled.trust import fourier_rows, samples_of

__all__ = ["give_back", "prepare_return", "worth"]

Complex: TypeAlias = NDArray[np.complex64]


def prepare_return(
    problem: NetworkProblem, rows: NDArray[np.intp], cancelled: Callable[[], bool] = never, at_once: int = 8
) -> Complex | None:
    """Make P A^H (A P A^H + 1)^-1 (column, row, coil * line) of some lines of k-space; None when `cancelled`.

    `problem` has a dense inverse, as every grid with holes has.
    """
    linear, padded = problem.columns_problem, problem.padded[0]
    coils, height, width = linear.maps.shape
    transform = fourier_rows(linear, rows)
    weights = np.empty((width, height, coils * len(rows)), np.complex64)
    for start in range(0, width, at_once):
        if cancelled():
            return None
        part = slice(start, min(start + at_once, width))
        samples = samples_of(linear.maps[:, :, part], transform)
        inverse = np.empty((len(samples), height, height), np.complex64)
        inverse.real = problem.inverse[part, :height, :height]
        inverse.imag = problem.inverse[part, padded : padded + height, :height]
        spread = inverse @ samples.conj().swapaxes(1, 2)
        gram = samples @ spread
        np.einsum("xii->xi", gram)[:] += 1
        weights[part] = np.linalg.solve(gram, spread.conj().swapaxes(1, 2)).conj().swapaxes(1, 2)
    return weights


def give_back(weights: Complex, missed: Complex) -> Complex:
    """What an image (row, column) must change by where it misses withheld lines by so much (coil, line, column)."""
    wrong = missed.reshape(-1, missed.shape[2]).T[..., None]
    change: Complex = (weights @ wrong)[..., 0].T
    return change


def worth(error: float) -> float:
    """Share of the change that is made, from 0 to 1, by the withheld lines' error in units of their noise."""
    return (1 - error**-2) ** 2 if error > 1 else 0.0

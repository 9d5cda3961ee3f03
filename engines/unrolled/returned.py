"""Withheld lines, given back to the image when it has been judged by them.

The image x is what the network and the other lines say. The withheld ones y = A x + n, A = F S, change it by
P A^H (A P A^H + 1)^-1 (y - A x): the least squares of all lines and of x, held as firmly as a consistent step holds it
(problem.py). It is what a Kalman filter does with a late measurement.

The filter takes x for no better than N makes it; a network's is better where it errs by no more than noise, and all of
the change would put noise back. So as much of it is made as the error is more than noise, by James-Stein's factor
(Stein, Proc 3rd Berkeley Symp 1956; 1:197) twice: once for what is noise in the error, once for what it does to x.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.unrolled.predictor import Predictor

__all__ = ["give_back", "worth"]

Complex: TypeAlias = NDArray[np.complex64]


def give_back(predictor: Predictor, missed: Complex) -> Complex:
    """What an image (row, column) must change by where it misses withheld lines by so much (coil, line, column)."""
    wrong = missed.reshape(-1, missed.shape[2]).T[..., None]
    weighed = (predictor.gain @ wrong).conj()
    change: Complex = (predictor.weights.swapaxes(1, 2) @ weighed)[..., 0].T
    return change.conj()


def worth(error: float) -> float:
    """Share of the change that is made, from 0 to 1, by the withheld lines' error in units of their noise."""
    return (1 - error**-2) ** 2 if error > 1 else 0.0

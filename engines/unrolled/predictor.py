"""What the lines that are used say of the withheld ones, and how these come back to the image: matrices of a slice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import never
from engines.unrolled.problem import NetworkProblem
from engines.unrolled.trust import fourier_rows, samples_of

__all__ = ["Predictor", "companion_lines", "prepare_predictor"]

Complex: TypeAlias = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Matrices of every column, with A = F S from its pixels to its withheld samples."""

    weights: Complex  # (column, coil * line, row) A P: from the right-hand side b to the companion's samples
    gram: Complex  # (column, coil * line, coil * line) A A^H: what an object can contribute to them, see judge
    gain: Complex  # (column, coil * line, coil * line) (A P A^H + 1)^-1, see returned.py


def prepare_predictor(
    problem: NetworkProblem, rows: NDArray[np.intp], cancelled: Callable[[], bool] = never
) -> Predictor | None:
    """Make the matrices of some withheld lines of k-space, a tenth of a second; None when `cancelled` says to stop.

    `problem` has a dense inverse, as every grid with holes has.
    """
    assert problem.dense is not None  # noqa: S101
    linear = problem.columns_problem
    coils, height, width = linear.maps.shape
    transform, samples_each = fourier_rows(linear, rows), coils * len(rows)
    weights = np.zeros((width, samples_each, height), np.complex64)
    gram, gain = (np.zeros((width, samples_each, samples_each), np.complex64) for _ in range(2))
    np.einsum("xii->xi", gain)[:] = 1
    for part, reach, inverse in problem.dense.blocks:
        if cancelled():
            return None
        samples = samples_of(linear.maps[:, reach, part], transform[:, reach])
        adjoint = samples.conj().swapaxes(1, 2)
        weights[part, :, reach] = samples @ inverse
        np.matmul(samples, adjoint, out=gram[part])
        moved = weights[part, :, reach] @ adjoint
        np.einsum("xii->xi", moved)[:] += 1
        gain[part] = np.linalg.inv(moved)
    return Predictor(weights, gram, gain)


def companion_lines(predictor: Predictor, right_hand_side: Complex, coils: int) -> Complex:
    """Samples (coil, line, column) that the linear companion predicts from b (row, column)."""
    samples = (predictor.weights @ right_hand_side.T[..., None])[..., 0]
    return samples.T.reshape(coils, -1, len(samples))

"""What the lines that are used say of the withheld ones, and how these come back to the image: matrices of a slice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import Block, Columns
from engines.unrolled.trust import fourier_rows, samples_of

__all__ = ["Predictor", "begin_predictor", "companion_lines"]

Complex: TypeAlias = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Matrices of every column, with A = F S from its pixels to its withheld samples."""

    weights: Complex  # (column, coil * line, row) A P: from the right-hand side b to the companion's samples
    gram: Complex  # (column, coil * line, coil * line) A A^H: what an object can contribute to them, see judge
    gain: Complex  # (column, coil * line, coil * line) (A P A^H + 1)^-1, see returned.py


def begin_predictor(problem: Columns, rows: NDArray[np.intp]) -> tuple[Predictor, Callable[[Block], None]]:
    """A predictor of some withheld lines of k-space that is still empty, and what fills it with a block of the inverse.

    Every block is to be seen once; blocks may be seen by several threads.
    """
    from engines.linear.hermitian import hermitian_inverse  # as in columns.py

    coils, height, width = problem.maps.shape
    transform, samples_each = fourier_rows(problem, rows), coils * len(rows)
    weights = np.zeros((width, samples_each, height), np.complex64)
    gram, gain = (np.zeros((width, samples_each, samples_each), np.complex64) for _ in range(2))
    np.einsum("xii->xi", gain)[:] = 1

    def see(block: Block) -> None:
        part, reach, inverse = block
        samples = samples_of(problem.maps[:, reach, part], transform[:, reach])
        adjoint = samples.conj().swapaxes(1, 2)
        weights[part, :, reach] = samples @ inverse
        np.matmul(samples, adjoint, out=gram[part])
        moved = weights[part, :, reach] @ adjoint
        np.einsum("xii->xi", moved)[:] += 1
        hermitian_inverse(moved, gain[part])

    return Predictor(weights, gram, gain), see


def companion_lines(predictor: Predictor, right_hand_side: Complex, coils: int) -> Complex:
    """Samples (coil, line, column) that the linear companion predicts from b (row, column)."""
    samples = (predictor.weights @ right_hand_side.T[..., None])[..., 0]
    return samples.T.reshape(coils, -1, len(samples))

"""What the lines that are used say of the withheld ones, and how these come back to the image: matrices of a slice."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.halves import both
from engines.linear.columns import Block, never
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
    problem: NetworkProblem,
    rows: NDArray[np.intp],
    cancelled: Callable[[], bool] = never,
    workers: Executor | None = None,
) -> Predictor | None:
    """Make the matrices of some withheld lines of k-space, a tenth of a second; None when `cancelled` says to stop.

    `problem` has a dense inverse, as every grid with holes has. One of `workers` helps, if one is free.
    """
    assert problem.dense is not None  # noqa: S101
    blocks, linear = problem.dense.blocks, problem.columns_problem
    coils, height, width = linear.maps.shape
    transform, samples_each = fourier_rows(linear, rows), coils * len(rows)
    weights = np.zeros((width, samples_each, height), np.complex64)
    gram, gain = (np.zeros((width, samples_each, samples_each), np.complex64) for _ in range(2))
    np.einsum("xii->xi", gain)[:] = 1

    def make(some: Sequence[Block]) -> None:
        for part, reach, inverse in some:
            if cancelled():
                return
            samples = samples_of(linear.maps[:, reach, part], transform[:, reach])
            adjoint = samples.conj().swapaxes(1, 2)
            weights[part, :, reach] = samples @ inverse
            np.matmul(samples, adjoint, out=gram[part])
            moved = weights[part, :, reach] @ adjoint
            np.einsum("xii->xi", moved)[:] += 1
            gain[part] = np.linalg.inv(moved)

    half = len(blocks) // 2
    both(lambda: make(blocks[:half]), lambda: make(blocks[half:]), workers)
    return None if cancelled() else Predictor(weights, gram, gain)


def companion_lines(predictor: Predictor, right_hand_side: Complex, coils: int) -> Complex:
    """Samples (coil, line, column) that the linear companion predicts from b (row, column)."""
    samples = (predictor.weights @ right_hand_side.T[..., None])[..., 0]
    return samples.T.reshape(coils, -1, len(samples))

"""Exact SENSE for any set of acquired lines: the readout decouples, so each column x is a small dense problem.

Model as in unfold.py. Per column N = sum_c S_c^H F^H M F S_c is the Gram matrix of the maps times the point-spread
function of the mask, element by element; b = sum_c S_c^H F^H y_c; the image is (N + lambda)^-1 b. All acquired lines
count, calibration lines too. Pixels outside a support are left out of the unknowns and stay zero.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.halves import both
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.fourier import plan

if TYPE_CHECKING:
    from engines.linear.packed import Packed

__all__ = [
    "Block",
    "ColumnInverse",
    "Columns",
    "invert_columns",
    "never",
    "noise_of",
    "normal_matrices",
    "nothing",
    "place",
    "point_spread",
    "prepare_columns",
    "product",
    "right_hand_side",
    "solve_columns",
    "solved_box",
    "variance_of",
]

Block: TypeAlias = tuple[slice, slice, NDArray[np.complex64]]  # columns, rows of the box, (column, row, row)


def never() -> bool:
    """Say that nobody asked to stop."""
    return False


def nothing(_block: Block) -> None:
    """Do nothing more with a block."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The problem of one slice, in a box that holds the object; rows in FFT order, so that no frame is shifted."""

    shape: tuple[int, int]  # lines, x of the whole matrix
    rows: NDArray[np.intp]  # rows of the image in the box
    columns: slice  # columns of the image in the box
    order: NDArray[np.intp]  # the same rows in FFT order: index of x = 0 first
    maps: NDArray[np.complex64]  # (coil, row, column) inside the box
    matched: NDArray[np.complex64]  # (coil, row, column) conjugate maps, phase of a shifted k-space centre, FFT scale
    acquired: NDArray[np.bool_]  # (line,)
    regularisation: float


@dataclass(frozen=True, slots=True, eq=False)
class ColumnInverse:
    """(N + lambda)^-1 of every column in the box: one matrix product away from the image."""

    problem: Columns
    half: "Packed"  # of each, in single precision; a group is a column
    variance: NDArray[np.float32]  # (column, row) of the solution where acquired noise has sigma 1


def prepare_columns(
    maps: NDArray[Any],
    acquired: NDArray[np.bool_],
    regularisation: float,
    box: tuple[slice, slice] | None = None,
) -> Columns:
    """State the problem for maps (coil, y, x), a mask (line,) and lambda > 0, unknowns inside `box` (rows, columns).

    Raises LinearError when shapes do not match, nothing was acquired, or lambda is not positive.
    """
    wanted_shape("column solver, maps (coil, y, x)", maps, None, None, None)
    _, lines, width = maps.shape
    wanted_shape("column solver, mask of acquired lines", acquired, lines)
    if not acquired.any():
        raise LinearError(f"column solver: got no acquired line out of {lines}, wanted one or more")
    if not regularisation > 0:
        raise LinearError(f"column solver: got regularisation {regularisation}, wanted a positive number")
    down, across = box if box is not None else (slice(0, lines), slice(0, width))
    rows = np.arange(lines)[down]
    order = (rows - lines // 2) % lines
    inside = np.ascontiguousarray(maps[:, down, across].astype(np.complex64, copy=False))
    turns = (lines // 2) * (rows - lines // 2) % lines / lines
    phase = (np.exp(-2j * np.pi * turns) / np.sqrt(lines)).astype(np.complex64)[:, None]
    return Columns((lines, width), rows, across, order, inside, inside.conj() * phase, acquired.copy(), regularisation)


def right_hand_side(
    problem: Columns, hybrid: NDArray[np.complex64], part: slice = slice(None)
) -> NDArray[np.complex64]:
    """Make b = sum_c S_c^H F^H M y_c (row, column) of a frame (coil, line, x).

    Lines that are not the problem's do not count. `part` are the columns of the box that are wanted.
    """
    coils, rows, _ = problem.maps.shape
    lines = problem.shape[0]
    wanted_shape("column solver, frame (coil, line, x)", hybrid, coils, *problem.shape)
    inside, matched = hybrid[:, :, problem.columns][:, :, part], problem.matched[:, :, part]
    fft = plan(lines, inside.shape[2], "FFTW_BACKWARD", axis=0)
    kept = np.flatnonzero(problem.acquired)
    fft.input_array[:] = 0
    total = np.zeros((rows, inside.shape[2]), np.complex64)
    product = np.empty_like(total)
    for given, sensitivity in zip(inside, matched, strict=True):
        fft.input_array[kept] = given[kept]
        fft.execute()
        for box, whole in _runs(problem.order):
            np.multiply(sensitivity[box], fft.output_array[whole], out=product[box])
        total += product
    return total


def _runs(order: NDArray[np.intp]) -> tuple[tuple[slice, slice], ...]:
    """Rows of the box that follow one another in FFT order too, and where they lie there."""
    first, last = int(order[0]), int(order[-1])
    if first <= last:
        return ((slice(0, len(order)), slice(first, last + 1)),)
    wrapped = int(np.count_nonzero(order >= first))
    return (slice(0, wrapped), slice(first, None)), (slice(wrapped, len(order)), slice(0, last + 1))


def place(problem: Columns, inside: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Put the box (row, column) back into the whole image (y, x), zero around it."""
    image = np.zeros(problem.shape, np.complex64)
    image[problem.rows[0] : problem.rows[-1] + 1, problem.columns] = inside
    return image


def point_spread(problem: Columns) -> NDArray[np.complex64]:
    """F^H M F between rows of the box (row, row): a Toeplitz matrix, the same for every column and coil."""
    lines = problem.shape[0]
    k = np.arange(lines) - lines // 2
    at = np.arange(1 - lines, lines)
    spread = np.exp(2j * np.pi * np.outer(at, k[problem.acquired]) / lines).sum(1) / lines
    return spread[problem.rows[:, None] - problem.rows + lines - 1].astype(np.complex64)


def normal_matrices(
    problem: Columns, columns: slice, spread: NDArray[np.complex64], rows: slice = slice(None)
) -> NDArray[np.complex64]:
    """N + lambda (column, row, row) of some columns and rows of the box, with `spread` from point_spread."""
    maps = problem.maps[:, rows, columns].transpose(2, 1, 0)
    normal: NDArray[np.complex64] = maps.conj() @ maps.swapaxes(-1, -2)
    normal *= spread[rows, rows]
    np.einsum("xii->xi", normal)[:] += np.float32(problem.regularisation)
    return normal


def invert_columns(
    problem: Columns,
    cancelled: Callable[[], bool] = never,
    at_once: int = 8,
    workers: Executor | None = None,
    then: Callable[[Block], None] = nothing,
) -> ColumnInverse | None:
    """Invert every column of the box, `at_once` at a time; None when `cancelled`, asked in between, says to stop.

    Rows outside which these columns' maps are zero are left out, so maps that are zero outside the object (support in
    maps.py) cost half the time and memory: rows^2 * 4 bytes a column. Run it in a worker: others run meanwhile. One of
    `workers` helps, if one is free. What comes `then` is done with each block while the caches hold it; the block is
    gone after that.
    """
    from engines.linear.hermitian import hermitian_inverse  # half a second; see warm.py
    from engines.linear.packed import empty_packed, pack_columns

    _, rows, columns = problem.maps.shape
    made = ColumnInverse(problem, empty_packed(columns, rows, np.float32), np.zeros((columns, rows), np.float32))
    blocks, spread = _blocks(problem, at_once), point_spread(problem)
    left, done = iter(blocks), []

    def invert() -> None:
        for part, reach in left:
            if cancelled():
                list(left)  # nothing is left for the other one either
                return
            matrices = normal_matrices(problem, part, spread, reach)
            hermitian_inverse(matrices, matrices)
            pack_columns(matrices, reach.start, made.half, part)
            made.variance[part, reach] = variance_of(matrices, problem.regularisation)
            done.append(part)
            then((part, reach, matrices))

    both(invert, invert, workers)
    return None if len(done) < len(blocks) else made


def _blocks(problem: Columns, at_once: int) -> list[tuple[slice, slice]]:
    """Columns that are inverted at once, and the rows that they see."""
    seen = (problem.maps != 0).any(0)
    width = seen.shape[1]
    parts = [slice(start, min(start + at_once, width)) for start in range(0, width, at_once)]
    shown = [(part, np.flatnonzero(seen[:, part].any(1))) for part in parts]
    return [(part, slice(int(rows[0]), int(rows[-1]) + 1)) for part, rows in shown if len(rows)]


def variance_of(inverse: NDArray[np.complex64], regularisation: float) -> NDArray[np.float32]:
    """Diagonal (…, n) of the solution's covariance H N H = H - lambda H^2, H (…, n, n), summed in single precision.

    Its root is the general form of the g-factor map in Pruessmann et al., Magn Reson Med 1999; 42:952.
    """
    parts = inverse.view(np.float32)
    power = np.einsum("...ij,...ij->...i", parts, parts)
    diagonal: NDArray[np.float32] = np.einsum("...ii->...i", inverse).real - np.float32(regularisation) * power
    return diagonal.clip(min=0)


def solve_columns(
    inverse: ColumnInverse, hybrid: NDArray[np.complex64], workers: Executor | None = None
) -> NDArray[np.complex64]:
    """Image (y, x) of a frame (coil, line, x) in hybrid space; lines that are not the problem's are left out."""
    return place(inverse.problem, solved_box(inverse, hybrid, workers)[1])


def solved_box(
    inverse: ColumnInverse, hybrid: NDArray[np.complex64], workers: Executor | None = None
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Right-hand side and image, both (row, column) of the box, of a frame (coil, line, x) in hybrid space.

    Half of the columns are solved by one of `workers`, if one is free: reading the inverses is what takes the time.
    """
    from engines.linear.packed import multiply_columns

    problem = inverse.problem
    b, solved = (np.empty(problem.maps.shape[:0:-1], np.complex64) for _ in range(2))

    def solve(part: slice) -> None:
        b[part] = right_hand_side(problem, hybrid, part).T
        multiply_columns(inverse.half, b, solved, part)

    _by_halves(solve, len(b), workers)
    return b.T, solved.T


def product(
    inverse: ColumnInverse, given: NDArray[np.complex64], workers: Executor | None = None
) -> NDArray[np.complex64]:
    """(N + lambda)^-1 of an image (row, column) of the box; half of the columns by one of `workers`, if one is free."""
    from engines.linear.packed import multiply_columns

    vectors = np.ascontiguousarray(given.T)
    made = np.empty_like(vectors)
    _by_halves(lambda part: multiply_columns(inverse.half, vectors, made, part), len(vectors), workers)
    return made.T


def _by_halves(do: Callable[[slice], None], columns: int, workers: Executor | None) -> None:
    both(lambda: do(slice(0, columns // 2)), lambda: do(slice(columns // 2, columns)), workers)


def noise_of(inverse: ColumnInverse) -> NDArray[np.float32]:
    """Standard deviation (y, x) of the solution's noise where acquired noise has sigma 1; zero outside the box."""
    return place(inverse.problem, np.sqrt(inverse.variance).T.astype(np.complex64)).real

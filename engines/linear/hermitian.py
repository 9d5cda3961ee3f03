"""Inverses of stacks of Hermitian positive definite matrices, in native code.

Three times as fast as blocks multiplied by BLAS, for there are many and they are small: A = U^H U (Cholesky), W = U^-H
and A^-1 = W^H W, four rows at a time and without what is zero. All three are made of the sums in tile.py. (The shorter
recursion on inverses of Schur complements loses all digits at a condition of 1000 in single precision.)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.tile import ROWS, WIDTH, tile
from engines.native import compiled, readable, types

__all__ = ["hermitian_inverse"]

Stack = NDArray[np.complex64]  # (matrix, n, n)


def hermitian_inverse(matrices: Stack, out: Stack | None = None) -> Stack:
    """Inverse (matrix, n, n) of Hermitian positive definite matrices, written to `out`, in C order, if given.

    Relative error about condition number times 1e-7. Raises numpy.linalg.LinAlgError where a matrix is not positive
    definite.
    """
    given = np.ascontiguousarray(matrices, np.complex64)
    made = np.empty_like(given) if out is None else out
    if not _invert(given, made):
        raise np.linalg.LinAlgError("a matrix is not positive definite")
    return made


@compiled()
def _add_block(rows: Any, upper: Any, block: int, row: int, begin: int, end: int) -> None:
    """Add to one of `rows` (row, 2, n) those above it in its block, times conjugate elements of U."""
    u, v = rows[row, 0, begin:end], rows[row, 1, begin:end]
    for above in range(block, row):
        a, b = upper[above, 0, row], upper[above, 1, row]
        x, y = rows[above, 0, begin:end], rows[above, 1, begin:end]
        for n in range(end - begin):
            u[n] += a * x[n] + b * y[n]
            v[n] += a * y[n] - b * x[n]


@compiled()
def _scale(row: Any, begin: int, end: int, factor: Any) -> None:
    for part in row[:, begin:end]:
        for n in range(end - begin):
            part[n] *= factor


@compiled()
def _subtract(row: Any, given: Any, begin: int) -> None:
    """Take a row of A from one of U, planes (2, n)."""
    u, v, left = row[0, begin:], row[1, begin:], given[begin:]
    for n in range(len(left)):
        u[n] -= left[n].real
        v[n] -= left[n].imag


@compiled()
def _factor(given: Any, upper: Any, scale: Any) -> bool:
    """Fill U, the identity beyond A, and the inverse of its diagonal; False where there is none."""
    rows, _, stored = upper.shape
    one, end = np.float32(1), stored - WIDTH
    for block in range(0, rows, ROWS):
        begin = block // WIDTH * WIDTH
        for column in range(begin, end, WIDTH):
            tile(upper, upper, upper, (block * 2 * stored + column, block, column, block, 2 * stored))
        for row in range(block, block + ROWS):
            if row < len(given):
                _subtract(upper[row], given[row], begin)
            else:
                upper[row, 0, row] = -one
            _add_block(upper, upper, block, row, begin, end)
            pivot = -upper[row, 0, row]
            if not pivot > 0:
                return False
            scale[row] = one / np.sqrt(pivot)
            _scale(upper[row], begin, end, -scale[row])
    return True


@compiled()
def _invert_factor(upper: Any, lower: Any, scale: Any) -> None:
    """Fill W = U^-H, row by row from those before."""
    rows, _, stored = upper.shape
    for block in range(0, rows, ROWS):
        end = (block + ROWS + WIDTH - 1) // WIDTH * WIDTH
        lower[block : block + ROWS, :, :end] = np.float32(0)
        for column in range(0, block, WIDTH):
            first, out = column * 2 * stored, block * 2 * stored + column
            tile(lower, upper, lower, (out, first + block, first + column, block - column, 2 * stored))
        for row in range(block, block + ROWS):
            lower[row, 0, row] = np.float32(-1)
            _add_block(lower, upper, block, row, 0, end)
            _scale(lower[row], 0, end, -scale[row])


@compiled()
def _square(lower: Any, some: Any, out: Any) -> None:
    """Put W^H W into `out`, by way of a few rows of its lower half."""
    size, (rows, _, stored) = len(out), lower.shape
    for block in range(0, rows, ROWS):
        for column in range(0, block + ROWS, WIDTH):
            begin = max(block, column)
            first = begin * 2 * stored
            tile(some, lower, lower, (column, first + block, first + column, rows - begin, 2 * stored))
        below = min(ROWS, size - block)
        for row in range(below):
            x, y, made = some[row, 0], some[row, 1], out[block + row]
            for n in range(block + row):
                made[n] = complex(x[n], y[n])
            made[block + row] = complex(x[block + row], np.float32(0))
        for row in range(block + below):
            made = out[row]
            for n in range(max(0, row + 1 - block), below):
                made[block + n] = complex(some[n, 0, row], -some[n, 1, row])


@compiled(types.boolean(readable(types.complex64, 3), types.complex64[:, :, ::1]))
def _invert(matrices: Any, out: Any) -> bool:
    size = matrices.shape[2]
    rows, stored = -(-size // ROWS) * ROWS, (-(-size // WIDTH) + 1) * WIDTH  # no power of two, see packed.py
    upper, lower = np.zeros((rows, 2, stored), np.float32), np.zeros((rows, 2, stored), np.float32)
    some, scale = np.zeros((ROWS, 2, stored), np.float32), np.empty(rows, np.float32)
    for n in range(len(matrices)):
        if not _factor(matrices[n], upper, scale):
            return False
        _invert_factor(upper, lower, scale)
        _square(lower, some, out[n])
    return True

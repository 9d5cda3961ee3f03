"""Normal equations of ten thousand points and their weights, summed in native code: what a registration steps by."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engines.native import compiled, readable, types

__all__ = ["affine_equations", "bend_equations", "equations"]

AT_ONCE: Final = 256  # points, whose columns stay in the cache
SLOPES_LAST: Final = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10, 3, 7, 11])  # of slopes times arms and a one
Array = NDArray[np.float64]


def equations(design: Array, weights: Array, right: Array) -> tuple[Array, Array]:
    """A^T W A (k, k) and A^T W r (k,) of rows A (n, k), weights W (n,) and what is wanted r (n,)."""
    return _summed(design, np.ones((len(design), 1)), weights, right)


def affine_equations(arms: Array, slopes: Array, weights: Array, right: Array) -> tuple[Array, Array]:
    """The same for an affine step: rows are slopes (n, 3) times arms (n, 3), slope by slope, then slopes."""
    normal, pulled = _summed(slopes, np.column_stack((arms, np.ones(len(arms)))), weights, right)
    return normal[np.ix_(SLOPES_LAST, SLOPES_LAST)], pulled[SLOPES_LAST]


def _summed(one: Array, other: Array, weights: Array, right: Array) -> tuple[Array, Array]:
    """Of rows that are every number of one (n, a) times every number of another (n, b)."""
    count = one.shape[1] * other.shape[1]
    normal, pulled = np.zeros((count, count)), np.zeros(count)
    _sum(one, other, weights, right, normal, pulled)
    return normal, pulled


def bend_equations(shares: csr_matrix, slopes: Array, weights: Array, stiffness: Array) -> NDArray[np.float32]:
    """(3 node, 3 node), the lower half alone: stiffness (node, node), and what points tell of the nodes they hang on.

    `shares` (point, node) of each point, its slopes (n, 3) and weight. Node by node, three directions each.
    """
    size = len(stiffness)
    made = np.zeros((size, 3, size, 3), np.float32)
    for axis in range(3):
        made[:, axis, :, axis] = stiffness
    whole = made.reshape(3 * size, 3 * size)
    _add_nodes(shares.indptr, shares.indices, shares.data, slopes, weights, whole)
    return whole


@compiled(inline="always")
def _add(columns: Any, weights: Any, right: Any, normal: Any, pulled: Any) -> None:
    """Add points whose columns (k, AT_ONCE) these are, with some room in the last; the lower half of `normal`."""
    count, heavy = len(weights), columns[-1]
    for row in range(len(pulled)):
        column, total = columns[row], 0.0
        for n in range(count):
            heavy[n] = column[n] * weights[n]
            total += heavy[n] * right[n]
        pulled[row] += total
        for other in range(row + 1):
            beside, told = columns[other], 0.0
            for n in range(count):
                told += heavy[n] * beside[n]
            normal[row, other] += told


@compiled(
    types.void(
        readable(types.float64, 2),
        readable(types.float64, 2),
        readable(types.float64, 1),
        readable(types.float64, 1),
        types.float64[:, ::1],
        types.float64[::1],
    ),
    reordered=True,
)
def _sum(one: Any, other: Any, weights: Any, right: Any, normal: Any, pulled: Any) -> None:
    wide = other.shape[1]
    columns = np.empty((len(pulled) + 1, AT_ONCE))
    for begin in range(0, len(one), AT_ONCE):
        count = min(AT_ONCE, len(one) - begin)
        for n in range(count):
            for first in range(one.shape[1]):
                for second in range(wide):
                    columns[first * wide + second, n] = one[begin + n, first] * other[begin + n, second]
        _add(columns, weights[begin : begin + count], right[begin : begin + count], normal, pulled)
    for row in range(len(normal)):
        for column in range(row):
            normal[column, row] = normal[row, column]


@compiled(
    types.void(
        readable(types.int32, 1),
        readable(types.int32, 1),
        readable(types.float64, 1),
        readable(types.float64, 2),
        readable(types.float64, 1),
        types.float32[:, ::1],
    )
)
def _add_nodes(starts: Any, nodes: Any, shares: Any, slopes: Any, weights: Any, out: Any) -> None:
    for point in range(len(weights)):
        x, y, z = slopes[point, 0], slopes[point, 1], slopes[point, 2]
        for first in range(starts[point], starts[point + 1]):
            row, weight = 3 * nodes[first], weights[point] * shares[first]
            for second in range(starts[point], starts[point + 1]):
                column = 3 * nodes[second]
                if column > row:
                    continue
                told = weight * shares[second]
                for down, slope in enumerate((x, y, z)):
                    out[row + down, column] += told * slope * x
                    out[row + down, column + 1] += told * slope * y
                    out[row + down, column + 2] += told * slope * z

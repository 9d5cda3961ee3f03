"""Normal equations of ten thousand points and their weights, summed in native code: what a registration steps by."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engines.native import compiled, readable, types

__all__ = ["affine_equations", "bend_equations", "equations"]

AT_ONCE: Final = 256  # points, whose columns stay in the cache
Array = NDArray[np.float64]


def equations(design: Array, weights: Array, right: Array) -> tuple[Array, Array]:
    """A^T W A (k, k) and A^T W r (k,) of rows A (n, k), weights W (n,) and what is wanted r (n,)."""
    count = design.shape[1]
    normal, pulled = np.zeros((count, count)), np.zeros(count)
    _sum(design, weights, right, normal, pulled)
    return normal, pulled


def affine_equations(arms: Array, slopes: Array, weights: Array, right: Array) -> tuple[Array, Array]:
    """The same for an affine step: rows are slopes (n, 3) times arms (n, 3), slope by slope, then slopes."""
    normal, pulled = np.zeros((12, 12)), np.zeros(12)
    _sum_affine(arms, slopes, weights, right, normal, pulled)
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


@compiled(inline="always")
def _mirror(normal: Any) -> None:
    for row in range(len(normal)):
        for other in range(row):
            normal[other, row] = normal[row, other]


@compiled(
    types.void(
        readable(types.float64, 2),
        readable(types.float64, 1),
        readable(types.float64, 1),
        types.float64[:, ::1],
        types.float64[::1],
    ),
    reordered=True,
)
def _sum(design: Any, weights: Any, right: Any, normal: Any, pulled: Any) -> None:
    columns = np.empty((design.shape[1] + 1, AT_ONCE))
    for begin in range(0, len(design), AT_ONCE):
        count = min(AT_ONCE, len(design) - begin)
        for n in range(count):
            for column in range(design.shape[1]):
                columns[column, n] = design[begin + n, column]
        _add(columns, weights[begin : begin + count], right[begin : begin + count], normal, pulled)
    _mirror(normal)


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
def _sum_affine(arms: Any, slopes: Any, weights: Any, right: Any, normal: Any, pulled: Any) -> None:
    columns = np.empty((13, AT_ONCE))
    for begin in range(0, len(arms), AT_ONCE):
        count = min(AT_ONCE, len(arms) - begin)
        for n in range(count):
            for one in range(3):
                slope = slopes[begin + n, one]
                columns[9 + one, n] = slope
                for other in range(3):
                    columns[3 * one + other, n] = slope * arms[begin + n, other]
        _add(columns, weights[begin : begin + count], right[begin : begin + count], normal, pulled)
    _mirror(normal)


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

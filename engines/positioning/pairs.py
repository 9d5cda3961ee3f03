"""How often two brightnesses meet, and what a table of such pairs says of each, in native code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.native import compiled, readable, types

__all__ = ["counted", "looked_up"]

Array = NDArray[np.float64]


def counted(one: Array, other: Array, bins: int) -> Array:
    """Histogram (bins, bins) of pairs (n,), 0 to bins - 1 and never the last, each shared among four neighbours."""
    made = np.zeros((bins, bins))
    _count(one, other, made)
    return made


def looked_up(table: Array, one: Array, other: Array) -> Array:
    """Values (n,) between the entries of a table, of the same pairs."""
    made = np.empty(len(one))
    _look_up(table, one, other, made)
    return made


@compiled(types.void(readable(types.float64, 1), readable(types.float64, 1), types.float64[:, ::1]))
def _count(one: Any, other: Any, out: Any) -> None:
    for n in range(len(one)):
        row, column = int(one[n]), int(other[n])
        down, along = one[n] - row, other[n] - column
        out[row, column] += (1 - down) * (1 - along)
        out[row, column + 1] += (1 - down) * along
        out[row + 1, column] += down * (1 - along)
        out[row + 1, column + 1] += down * along


@compiled(
    types.void(readable(types.float64, 2), readable(types.float64, 1), readable(types.float64, 1), types.float64[::1])
)
def _look_up(table: Any, one: Any, other: Any, out: Any) -> None:
    for n in range(len(one)):
        row, column = int(one[n]), int(other[n])
        down, along = one[n] - row, other[n] - column
        above = table[row, column] * (1 - along) + table[row, column + 1] * along
        below = table[row + 1, column] * (1 - along) + table[row + 1, column + 1] * along
        out[n] = above * (1 - down) + below * down

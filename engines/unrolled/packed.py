"""Half of each Hermitian inverse, in bfloat16: all that a product has to read, and reading is what takes its time.

Of an inverse (group, 2 * n, n), see problem.py, what lies below the diagonal between the first and the last row that is
not zero, two rows at a time: their parts in front of both diagonals, in whole vectors, and the corner that is left.
Products are summed in single precision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from engines.linear.errors import LinearError

__all__ = ["Packed", "empty_packed", "multiply", "pack"]

VECTOR: Final = 32  # lengths are multiples of this: loops end without a remainder
CORNER: Final = 8  # numbers kept for a pair of rows besides; the compiled code uses the first four
MOST_ROWS: Final = 2048
APART: Final = MOST_ROWS + 72  # between vectors: no power of two, whose places would share lines of the cache
REORDERED: Final = {"reassoc", "contract", "nsz"}  # sums in any order; what is not finite stays so


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """What `pack` fills, group by group; both in C order."""

    bits: NDArray[np.uint16]  # (group, numbers), upper halves of single precision
    reach: NDArray[np.int32]  # (group, 2) first row that is not zero, and the one after the last


def empty_packed(groups: int, size: int) -> Packed:
    """Room for inverses (group, 2 * size, size); raises LinearError for more than MOST_ROWS rows."""
    if size > MOST_ROWS:
        raise LinearError(f"packed inverse: got {size} rows, wanted {MOST_ROWS} at most")
    numbers = sum(4 * _whole(row) + CORNER for row in range(0, size, 2))
    return Packed(np.zeros((groups, numbers), np.uint16), np.zeros((groups, 2), np.int32))


def _whole(length: int) -> int:
    return -(-length // VECTOR) * VECTOR


def pack(inverse: NDArray[np.float32], packed: Packed, part: slice = slice(None)) -> None:
    """Round a part (along the first axis) of inverses (group, 2 * n, n) to the nearest bfloat16, ties away from 0."""
    _pack(inverse[part].view(np.uint32), packed.bits[part], packed.reach[part])


def multiply(packed: Packed, planes: NDArray[np.float32], out: NDArray[np.float32], part: slice = slice(None)) -> None:
    """Put P of planes (frame, 2, y, x) into `out`, in the pixels of a part of the groups."""
    _multiply(packed.bits, packed.reach, planes, out, *part.indices(len(packed.bits))[:2])


def _bits_as_single(_context: Any, _bits: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


_single: Any = intrinsic(_bits_as_single)  # four bytes taken as a number in single precision


def _compiled(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Native code, kept beside this file or in the user's cache; other threads run while it does."""
    compile_ = partial(njit, *signature, nogil=True, fastmath=REORDERED, error_model="numpy", **options)

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return compile_(cache=True)(function)
        except RuntimeError:  # nowhere to keep it
            return compile_()(function)

    return decorate


def _read(number: Any, dimensions: int) -> Any:
    return types.Array(number, dimensions, "C", readonly=True)


@_compiled()
def _rounded(bits: Any) -> Any:
    return (bits + np.uint32(0x8000)) >> np.uint32(16)


@_compiled()
def _reach(inverse: Any) -> Any:
    first, end = 0, inverse.shape[1]
    while first < end and inverse[first, first] == 0:
        first += 1
    while end > first and inverse[end - 1, end - 1] == 0:
        end -= 1
    return first, end


@_compiled(types.void(_read(types.uint32, 3), types.uint16[:, ::1], types.int32[:, ::1]))
def _pack(inverse: Any, bits: Any, reach: Any) -> None:
    size = inverse.shape[2]
    for group in range(len(inverse)):
        one, made = inverse[group], bits[group]
        first, end = _reach(one)
        reach[group, 0], reach[group, 1] = first, end
        at = 0
        for row in range(first, end, 2):
            length = (row - first + VECTOR - 1) // VECTOR * VECTOR
            second = min(row + 1, end - 1)  # the last one alone: zeros are multiplied with what is there
            for line in (row, size + row, second, size + second):
                for n in range(row - first):
                    made[at + n] = _rounded(one[line, first + n])
                at += length
            made[at] = _rounded(one[row, row])
            if second > row:
                made[at + 1] = _rounded(one[second, row])
                made[at + 2] = _rounded(one[size + second, row])
                made[at + 3] = _rounded(one[second, second])
            at += CORNER


@_compiled(inline="always")  # so that LLVM sees that the vectors lie apart
def _half(bits: Any, used: int, x: Any, y: Any, u: Any, v: Any) -> None:
    """Each pair of rows is used twice: as rows, and as columns of the half that is not there."""
    low, zero = np.uint32(16), np.float32(0)
    at = 0
    for row in range(0, used, 2):
        length = (row + VECTOR - 1) // VECTOR * VECTOR
        upper_real, upper_imag = bits[at : at + length], bits[at + length : at + 2 * length]
        at += 2 * length
        lower_real, lower_imag = bits[at : at + length], bits[at + length : at + 2 * length]
        at += 2 * length
        x0, y0, x1, y1 = x[row], y[row], x[row + 1], y[row + 1]
        u0 = v0 = u1 = v1 = zero
        for n in range(length):
            a, b = _single(np.uint32(upper_real[n]) << low), _single(np.uint32(upper_imag[n]) << low)
            c, d = _single(np.uint32(lower_real[n]) << low), _single(np.uint32(lower_imag[n]) << low)
            u0 += a * x[n] - b * y[n]
            v0 += a * y[n] + b * x[n]
            u1 += c * x[n] - d * y[n]
            v1 += c * y[n] + d * x[n]
            u[n] += a * x0 + b * y0 + c * x1 + d * y1
            v[n] += a * y0 - b * x0 + c * y1 - d * x1
        a, c = _single(np.uint32(bits[at]) << low), _single(np.uint32(bits[at + 1]) << low)
        d, e = _single(np.uint32(bits[at + 2]) << low), _single(np.uint32(bits[at + 3]) << low)
        at += CORNER
        u[row] += u0 + a * x0 + c * x1 + d * y1
        v[row] += v0 + a * y0 + c * y1 - d * x1
        u[row + 1] += u1 + c * x0 - d * y0 + e * x1
        v[row + 1] += v1 + c * y0 + d * x0 + e * y1


@_compiled(
    types.void(
        _read(types.uint16, 2),
        _read(types.int32, 2),
        _read(types.float32, 4),
        types.float32[:, :, :, ::1],
        types.intp,
        types.intp,
    )
)
def _multiply(bits: Any, reach: Any, planes: Any, out: Any, begin: Any, end: Any) -> None:
    frames, _, rows, width = planes.shape
    folded, zero, memory = len(bits) // width, np.float32(0), np.empty(4 * APART, np.float32)
    x, y = memory[:APART], memory[APART : 2 * APART]  # real and imaginary part of what is multiplied
    u, v = memory[2 * APART : 3 * APART], memory[3 * APART : 4 * APART]  # and those of the product
    for place in range(begin * frames, end * frames):
        group, frame = place // frames, place % frames
        fold, column = group // width, group % width
        first, used = reach[group, 0], reach[group, 1] - reach[group, 0]
        for n in range(used + VECTOR):
            inside = n < used
            x[n] = planes[frame, 0, (first + n) * folded + fold, column] if inside else zero
            y[n] = planes[frame, 1, (first + n) * folded + fold, column] if inside else zero
            u[n] = v[n] = zero
        _half(bits[group], used, x, y, u, v)
        for n in range(rows // folded):
            inside = first <= n < first + used
            out[frame, 0, n * folded + fold, column] = u[n - first] if inside else zero
            out[frame, 1, n * folded + fold, column] = v[n - first] if inside else zero

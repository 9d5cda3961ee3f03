"""Half of each Hermitian inverse: all that a product has to read, and reading is what takes its time.

Of an inverse, what lies below the diagonal between the first and the last row that is not zero, two rows at a time:
their parts in front of both diagonals, in whole vectors, and the corner that is left. In single precision, or in
bfloat16; products are summed in single precision.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.native import compiled, readable

__all__ = ["Packed", "empty_packed", "multiply", "multiply_columns", "pack", "pack_columns"]

VECTOR: Final = 32  # lengths are multiples of this: loops end without a remainder
CORNER: Final = 8  # numbers kept for a pair of rows besides; the compiled code uses the first four
MOST_ROWS: Final = 2048
APART: Final = MOST_ROWS + 72  # between vectors: no power of two, whose places would share lines of the cache


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """What `pack` or `pack_columns` fills, group by group; both in C order."""

    numbers: NDArray[Any]  # (group, number) float32, or the upper halves of such as uint16
    reach: NDArray[np.int32]  # (group, 2) first row that is not zero, and the one after the last


def empty_packed(groups: int, size: int, kind: type[np.uint16] | type[np.float32] = np.uint16) -> Packed:
    """Room for inverses of so many rows; raises LinearError for more than MOST_ROWS rows."""
    if size > MOST_ROWS:
        raise LinearError(f"packed inverse: got {size} rows, wanted {MOST_ROWS} at most")
    numbers = sum(4 * _whole(row) + CORNER for row in range(0, size, 2))
    return Packed(np.zeros((groups, numbers), kind), np.zeros((groups, 2), np.int32))


def _whole(length: int) -> int:
    return -(-length // VECTOR) * VECTOR


def pack(inverse: NDArray[np.float32], packed: Packed, part: slice = slice(None)) -> None:
    """Round a part (along the first axis) of inverses (group, 2 * n, n), see ../unrolled/problem.py, to bfloat16.

    To the nearest one, ties away from 0.
    """
    _pack(inverse[part].view(np.uint32), packed.numbers[part], packed.reach[part])


def pack_columns(matrices: NDArray[np.complex64], first_row: int, packed: Packed, part: slice) -> None:
    """Keep inverses (group, n, n) of a part of the groups, whose rows begin with `first_row`, in single precision."""
    _pack_columns(matrices, first_row, packed.numbers[part], packed.reach[part])


def multiply(packed: Packed, planes: NDArray[np.float32], out: NDArray[np.float32], part: slice = slice(None)) -> None:
    """Put P of planes (frame, 2, y, x) into `out`, in the pixels of a part of the groups."""
    _multiply(packed.numbers, packed.reach, planes, out, *part.indices(len(packed.numbers))[:2])


def multiply_columns(
    packed: Packed, given: NDArray[np.complex64], out: NDArray[np.complex64], part: slice = slice(None)
) -> None:
    """Put P of columns (group, row) into `out`, of a part of the groups."""
    _multiply_columns(packed.numbers, packed.reach, given, out, *part.indices(len(packed.numbers))[:2])


def _stored_as_single(_context: Any, stored: Any) -> Any:
    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.float32:
            return arguments[0]
        bits = builder.zext(arguments[0], ir.IntType(32))
        return builder.bitcast(builder.shl(bits, ir.Constant(bits.type, 16)), ir.FloatType())

    return types.float32(stored), generate


_single: Any = intrinsic(_stored_as_single)  # what is stored as a number in single precision


@compiled()
def _rounded(bits: Any) -> Any:
    return (bits + np.uint32(0x8000)) >> np.uint32(16)


@compiled()
def _reach(inverse: Any) -> Any:
    first, end = 0, inverse.shape[1]
    while first < end and inverse[first, first] == 0:
        first += 1
    while end > first and inverse[end - 1, end - 1] == 0:
        end -= 1
    return first, end


@compiled(types.void(readable(types.uint32, 3), types.uint16[:, ::1], types.int32[:, ::1]))
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


@compiled(
    types.void(readable(types.complex64, 3), types.intp, types.float32[:, ::1], types.int32[:, ::1]),
)
def _pack_columns(matrices: Any, first_row: int, numbers: Any, reach: Any) -> None:
    size = matrices.shape[2]
    for group in range(len(matrices)):
        one, made = matrices[group], numbers[group]
        reach[group, 0], reach[group, 1] = first_row, first_row + size
        at = 0
        for row in range(0, size, 2):
            length = (row + VECTOR - 1) // VECTOR * VECTOR
            second = min(row + 1, size - 1)  # as in _pack
            for line in (row, second):
                real, imag, given = made[at : at + length], made[at + length : at + 2 * length], one[line]
                for n in range(row):
                    real[n], imag[n] = given[n].real, given[n].imag
                at += 2 * length
            made[at] = one[row, row].real
            if second > row:
                made[at + 1] = one[second, row].real
                made[at + 2] = one[second, row].imag
                made[at + 3] = one[second, second].real
            at += CORNER


@compiled(inline="always")  # with its caller's options; so that LLVM sees that the vectors lie apart
def _half(numbers: Any, used: int, x: Any, y: Any, u: Any, v: Any) -> None:
    """Each pair of rows is used twice: as rows, and as columns of the half that is not there."""
    zero, at = np.float32(0), 0
    for row in range(0, used, 2):
        length = (row + VECTOR - 1) // VECTOR * VECTOR
        upper_real, upper_imag = numbers[at : at + length], numbers[at + length : at + 2 * length]
        at += 2 * length
        lower_real, lower_imag = numbers[at : at + length], numbers[at + length : at + 2 * length]
        at += 2 * length
        x0, y0, x1, y1 = x[row], y[row], x[row + 1], y[row + 1]
        u0 = v0 = u1 = v1 = zero
        for n in range(length):
            a, b = _single(upper_real[n]), _single(upper_imag[n])
            c, d = _single(lower_real[n]), _single(lower_imag[n])
            u0 += a * x[n] - b * y[n]
            v0 += a * y[n] + b * x[n]
            u1 += c * x[n] - d * y[n]
            v1 += c * y[n] + d * x[n]
            u[n] += a * x0 + b * y0 + c * x1 + d * y1
            v[n] += a * y0 - b * x0 + c * y1 - d * x1
        a, c = _single(numbers[at]), _single(numbers[at + 1])
        d, e = _single(numbers[at + 2]), _single(numbers[at + 3])
        at += CORNER
        u[row] += u0 + a * x0 + c * x1 + d * y1
        v[row] += v0 + a * y0 + c * y1 - d * x1
        u[row + 1] += u1 + c * x0 - d * y0 + e * x1
        v[row + 1] += v1 + c * y0 + d * x0 + e * y1


@compiled(
    types.void(
        readable(types.uint16, 2),
        readable(types.int32, 2),
        readable(types.float32, 4),
        types.float32[:, :, :, ::1],
        types.intp,
        types.intp,
    ),
    reordered=True,
)
def _multiply(numbers: Any, reach: Any, planes: Any, out: Any, begin: Any, end: Any) -> None:
    frames, _, rows, width = planes.shape
    folded, zero, memory = len(numbers) // width, np.float32(0), np.empty(4 * APART, np.float32)
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
        _half(numbers[group], used, x, y, u, v)
        for n in range(rows // folded):
            inside = first <= n < first + used
            out[frame, 0, n * folded + fold, column] = u[n - first] if inside else zero
            out[frame, 1, n * folded + fold, column] = v[n - first] if inside else zero


@compiled(
    types.void(
        readable(types.float32, 2),
        readable(types.int32, 2),
        readable(types.complex64, 2),
        types.complex64[:, ::1],
        types.intp,
        types.intp,
    ),
    reordered=True,
)
def _multiply_columns(numbers: Any, reach: Any, given: Any, out: Any, begin: Any, end: Any) -> None:
    zero, memory = np.float32(0), np.empty(4 * APART, np.float32)
    x, y = memory[:APART], memory[APART : 2 * APART]
    u, v = memory[2 * APART : 3 * APART], memory[3 * APART : 4 * APART]
    for group in range(begin, end):
        first, used = reach[group, 0], reach[group, 1] - reach[group, 0]
        left, made = given[group], out[group]
        for n in range(used + VECTOR):
            number = left[first + n] if n < used else np.complex64(0)
            x[n], y[n] = number.real, number.imag
            u[n] = v[n] = zero
        _half(numbers[group], used, x, y, u, v)
        for n in range(len(made)):
            inside = first <= n < first + used
            made[n] = complex(u[n - first], v[n - first]) if inside else np.complex64(0)

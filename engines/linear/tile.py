"""Sums of products of complex numbers that stay in registers, as BLAS has them: what small factorisations are made of.

Numba's own loops keep their sums in memory, which takes three times as long.
"""

from typing import Any, Final

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["ROWS", "WIDTH", "tile"]

ROWS: Final = 4
WIDTH: Final = 16 if get_host_cpu_features().get("avx512f") else 8  # numbers of a register
REGISTER: Final = ir.VectorType(ir.FloatType(), WIDTH)
LANES: Final = ir.VectorType(ir.IntType(32), WIDTH)
FUSED: Final = ir.FunctionType(REGISTER, [REGISTER] * 3)  # multiplies and adds, rounded once
UNDEFINED: Final = ir.Constant(REGISTER, ir.Undefined)


def _sums_in_registers(_context: Any, out: Any, left: Any, right: Any, where: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *memories, given = arguments
        *places, count, stride = cgutils.unpack_tuple(builder, given)
        arrays = [
            context.make_array(kind)(context, builder, memory)
            for kind, memory in zip(signature.args, memories, strict=False)
        ]
        target, scalars, vectors = (
            builder.gep(array.data, [place]) for array, place in zip(arrays, places, strict=True)
        )
        half = builder.udiv(stride, ir.Constant(stride.type, 2))
        zero = ir.Constant(REGISTER, [0.0] * WIDTH)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2 * ROWS)]
        with cgutils.for_range(builder, count) as row:
            down = builder.mul(row.index, stride)
            _add_row(builder, sums, [builder.gep(memory, [down]) for memory in (scalars, vectors)], half)
        for total in sums:
            builder.store(builder.load(total), builder.bitcast(target, REGISTER.as_pointer()), align=4)
            target = builder.gep(target, [half])
        return context.get_dummy_value()

    return types.void(out, left, right, where), generate


def _add_row(builder: Any, sums: list[Any], places: list[Any], half: Any) -> None:
    """Add conjugate numbers of one row times numbers of another one; where both are, imaginary parts half on."""
    scalars, vectors = places
    fused = cgutils.get_or_insert_function(builder.module, FUSED, f"llvm.fma.v{WIDTH}f32")
    real, imag = (
        builder.load(builder.bitcast(place, REGISTER.as_pointer()), align=4)
        for place in (vectors, builder.gep(vectors, [half]))
    )
    for n in range(ROWS):
        place = builder.gep(scalars, [ir.Constant(half.type, n)])
        a, b = _everywhere(builder, place), _everywhere(builder, builder.gep(place, [half]))
        for total, factor, vector in (
            (sums[2 * n], a, real),
            (sums[2 * n], b, imag),
            (sums[2 * n + 1], a, imag),
            (sums[2 * n + 1], builder.fneg(b), real),
        ):
            builder.store(builder.call(fused, (factor, vector, builder.load(total))), total)


def _everywhere(builder: Any, place: Any) -> Any:
    """A register of one number."""
    first = builder.insert_element(UNDEFINED, builder.load(place), ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, UNDEFINED, ir.Constant(LANES, [0] * WIDTH))


tile: Any = intrinsic(_sums_in_registers)
"""For native code: out[to] (ROWS, WIDTH) = sum over `count` rows of conj(left[row + n]) right[column : column + WIDTH].

`where` is (to, row, column, count, stride), places counted in numbers from the first. Arrays are in C order and single
precision; their rows are `stride` apart, the second half of each holds imaginary parts.
"""

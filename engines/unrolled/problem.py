"""The SENSE problem of one slice as real planes in a box, for a network that alternates with exact data consistency.

The network's consistent step is rho = P (b + lambda z), P = (N + lambda)^-1, in the model of columns.py. P is a stack
of small inverses: one for each column (any mask), or one for each set of R aliased pixels (equispaced lines). The same
product takes both: rows of the plane are read as (alias, folded), pixels that share (folded, column) form a group.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.ahead import Ahead, nothing_ahead
from engines.halves import both
from engines.linear.columns import (
    Block,
    ColumnInverse,
    Columns,
    invert_columns,
    never,
    nothing,
    place,
    prepare_columns,
    solved_box,
    variance_of,
)
from engines.linear.columns import right_hand_side as right_hand_side_of
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.maps import bounding_box
from engines.linear.unfold import aliased_inverse, equispaced
from engines.unrolled.balance import windowed

__all__ = [
    "MULTIPLE",
    "Form",
    "NetworkBox",
    "NetworkProblem",
    "apply_inverse",
    "as_box",
    "as_planes",
    "begin",
    "invert_box",
    "network_box",
    "network_problem",
    "normal_image",
    "whole_image",
]

MULTIPLE: Final = 8  # rows and columns of the planes are multiples of it
Form: TypeAlias = Literal["auto", "dense"]
Planes: TypeAlias = NDArray[np.float32]  # (2, row, column): real and imaginary part
Power: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkBox:
    """What the network sees of a slice, known as soon as there are maps."""

    shape: tuple[int, int]  # lines, x of the whole matrix
    rows: slice  # of the image in the box; all of them for blocks
    columns: slice  # of the image in the box
    padded: tuple[int, int]  # rows and columns of the planes: the box in the upper left, the rest unseen
    inside: NDArray[np.bool_]  # (row, column) of the planes: where a coil sees the object
    alias: int  # pixels of a group: rows of the plane (dense) or the acceleration (blocks)
    columns_problem: Columns


@dataclass(frozen=True, slots=True, eq=False)
class NetworkProblem(NetworkBox):
    """The box with its inverse: all that a consistent step needs."""

    inverse: NDArray[np.float32]  # (group, 2 * alias, alias): real over imaginary part; zero for unseen pixels
    noise: NDArray[np.float32]  # (row, column) variance of P b, whose lines have sigma 1, as balance.py wants it
    dense: ColumnInverse | None  # the same inverse without the rows that a column does not see; None for blocks


def network_box(
    maps: NDArray[np.complex64],
    acquired: NDArray[np.bool_],
    regularisation: float,
    form: Form = "auto",
    box: tuple[slice, slice] | None = None,
) -> NetworkBox:
    """Choose box and form for maps (coil, y, x) that are zero outside the object, and a mask (line,).

    `form` auto takes blocks where the lines are an equispaced grid and their number a multiple of MULTIPLE; `box`
    (rows, columns) replaces the smallest one that holds the object. Raises LinearError as prepare_columns does, and
    for maps that are zero.
    """
    wanted_shape("network problem, maps (coil, y, x)", maps, None, None, None)
    wanted_shape("network problem, mask of acquired lines", acquired, maps.shape[1])
    seen = (maps != 0).any(0)
    if not seen.any():
        raise LinearError("network problem: got maps that are zero everywhere, wanted an object that a coil sees")
    rows, columns = bounding_box(seen) if box is None else box
    grid = equispaced(acquired) if form == "auto" and maps.shape[1] % MULTIPLE == 0 else None
    blocks = grid is not None and 2 <= grid[0] <= len(maps)
    if blocks:
        rows = slice(0, maps.shape[1])
    problem = prepare_columns(maps, acquired, regularisation, (rows, columns))
    height, width = problem.maps.shape[1:]
    padded = (_rounded_up(height), _rounded_up(width))
    inside = np.zeros(padded, np.bool_)
    inside[:height, :width] = seen[rows, columns]
    alias = grid[0] if grid is not None and blocks else padded[0]
    return NetworkBox(problem.shape, rows, columns, padded, inside, alias, problem)


def _rounded_up(size: int) -> int:
    return -(-size // MULTIPLE) * MULTIPLE


def invert_box(
    box: NetworkBox,
    cancelled: Callable[[], bool] = never,
    workers: Executor | None = None,
    then: Callable[[Block], None] = nothing,
    ahead: Ahead = nothing_ahead,
) -> NetworkProblem | None:
    """Form the inverse of every group; None when `cancelled`, asked in between, says to stop.

    Dense inverses take rows^2 * 12 bytes a column and are made in place, by the caller and one of `workers`, if free;
    what comes `then` is done with each block of columns while the caches hold it, and what `ahead` gives for the array
    of the inverse with each part of that.
    """
    noise = np.zeros(box.padded, np.float32)
    dense = None
    if box.alias < box.padded[0]:
        inverse = _blocks(box, noise)
    else:
        inverse = np.zeros((box.padded[1], 2 * box.padded[0], box.padded[0]), np.float32)
        see = ahead(inverse)

        def pack(block: Block) -> None:
            _pack(box, block, inverse)
            see(block[0])
            then(block)

        dense = invert_columns(box.columns_problem, cancelled, workers=workers, then=pack)
        if dense is None:
            return None
        width, height = dense.variance.shape
        noise[:height, :width] = dense.variance.T * box.inside[:height, :width]
    known = {field.name: getattr(box, field.name) for field in fields(NetworkBox)}
    return NetworkProblem(**known, inverse=inverse, noise=windowed(noise), dense=dense)


def network_problem(
    maps: NDArray[np.complex64],
    acquired: NDArray[np.bool_],
    regularisation: float,
    form: Form = "auto",
    box: tuple[slice, slice] | None = None,
) -> NetworkProblem:
    """Box and inverse at once; arguments and errors of network_box."""
    made = invert_box(network_box(maps, acquired, regularisation, form, box))
    assert made is not None  # noqa: S101
    return made


def _pack(box: NetworkBox, block: Block, packed: Planes) -> None:
    """Put a block's (N + lambda)^-1 into `packed` (column, 2 * row, row).

    A row of N that is zero has 1 / lambda on the diagonal of its inverse, and zero here.
    """
    part, reach, matrices = block
    height = box.padded[0]
    own = packed[part, :, reach]
    own[:, reach] = matrices.real
    own[:, height + reach.start : height + reach.stop] = matrices.imag
    np.einsum("xii->xi", own[:, reach])[:] *= box.inside[reach, part].T


def _blocks(box: NetworkBox, noise: Power) -> Planes:
    """(folded line and column, 2 * alias, alias) of (E^H E / R + lambda)^-1, see unfold.py; fills in `noise`."""
    problem = box.columns_problem
    lines, alias = box.shape[0], box.alias
    folded, used = lines // alias, problem.maps.shape[2]
    first = int(np.flatnonzero(problem.acquired)[0])
    turns = (first - lines // 2) * (np.arange(lines) - lines // 2) % lines / lines
    phased = problem.maps * np.exp(-2j * np.pi * turns).astype(np.complex64)[:, None]
    _, inverse = aliased_inverse(phased, alias, problem.regularisation)
    seen = box.inside[:, :used].reshape(alias, folded, used).transpose(1, 2, 0)
    np.einsum("fxii->fxi", inverse)[:] *= seen
    packed = np.zeros((folded, box.padded[1], 2 * alias, alias), np.float32)
    packed[:, :used, :alias] = inverse.real
    packed[:, :used, alias:] = inverse.imag
    variance = variance_of(inverse, problem.regularisation) * seen
    noise[:, :used] = variance.transpose(2, 0, 1).reshape(lines, used)
    return packed.reshape(-1, 2 * alias, alias)


def apply_inverse(inverse: NDArray[np.float32], planes: Planes) -> Planes:
    """P of planes (2, row, column), as the network's graph does it, for either form of `inverse`.

    Raises LinearError when the inverse is not one of such planes.
    """
    wanted_shape("network problem, planes (2, row, column)", planes, 2, None, None)
    _, height, width = planes.shape
    groups, _, alias = inverse.shape
    if groups * alias != height * width or height % alias:
        raise LinearError(
            f"network problem: got an inverse {inverse.shape} for planes {planes.shape}, "
            f"wanted groups * alias = {height * width} pixels; make both from one NetworkProblem"
        )
    folded = height // alias
    vectors = planes.reshape(2, alias, folded, width).transpose(2, 3, 1, 0).reshape(groups, alias, 2)
    product = inverse @ vectors
    upper, lower = product[:, :alias], product[:, alias:]
    out = np.stack([upper[..., 0] - lower[..., 1], upper[..., 1] + lower[..., 0]])
    return out.reshape(2, folded, width, alias).transpose(0, 3, 1, 2).reshape(2, height, width)


def as_planes(box: NetworkBox, inside: NDArray[np.complex64]) -> Planes:
    """Pixels of the box (row, column) as planes, zero where they are padded."""
    height, width = box.columns_problem.maps.shape[1:]
    wanted_shape("network problem, pixels of the box (row, column)", inside, height, width)
    planes = np.zeros((2, *box.padded), np.float32)
    planes[0, :height, :width] = inside.real
    planes[1, :height, :width] = inside.imag
    return planes


def as_box(box: NetworkBox, planes: Planes) -> NDArray[np.complex64]:
    """Pixels of the box (row, column) from planes (2, row, column), without the padded ones."""
    wanted_shape("network problem, planes (2, row, column)", planes, 2, *box.padded)
    height, width = box.columns_problem.maps.shape[1:]
    pixels = np.empty((height, width), np.complex64)
    pixels.real, pixels.imag = planes[:, :height, :width]
    return pixels


def normal_image(
    box: NetworkBox, hybrid: NDArray[np.complex64], helpers: Executor | None = None
) -> NDArray[np.float32]:
    """Make b (1, 2, row, column) of a whitened frame (coil, line, x), in units of its noise; one of `helpers` helps."""
    problem = box.columns_problem
    _, height, width = problem.maps.shape
    b, middle = np.empty((height, width), np.complex64), width // 2

    def make(part: slice) -> None:
        b[:, part] = right_hand_side_of(problem, hybrid, part)

    both(lambda: make(slice(0, middle)), lambda: make(slice(middle, None)), helpers)
    return as_planes(box, b)[None]


def begin(
    problem: NetworkProblem, hybrid: NDArray[np.complex64], helpers: Executor | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make b and P b, each (1, 2, row, column), of a whitened frame (coil, line, x); one of `helpers` helps.

    P b in single precision: large terms cancel in it.
    """
    if problem.dense is None:
        normal = normal_image(problem, hybrid, helpers)
        return normal, apply_inverse(problem.inverse, normal[0])[None]
    given, solved = solved_box(problem.dense, hybrid, helpers)
    return as_planes(problem, given)[None], as_planes(problem, solved)[None]


def whole_image(box: NetworkBox, planes: Planes) -> NDArray[np.complex64]:
    """Image (y, x) of planes (2, row, column), zero around the box."""
    return place(box.columns_problem, as_box(box, planes))

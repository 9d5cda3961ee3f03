"""What is learned from the calibration lines of one slice, ready for its frames."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.halves import each
from engines.linear.columns import ColumnInverse, Columns, prepare_columns, solve_columns
from engines.linear.coming import Coming
from engines.linear.espirit import espirit_maps
from engines.linear.grappa import GrappaWeights, fit_grappa
from engines.linear.maps import bounding_box, support, walsh_maps
from engines.linear.masks import gapless
from engines.linear.preconditioned import ColumnIteration, prepare_iteration
from engines.linear.unfold import Unfolding, equispaced, prepare_unfolding

__all__ = [
    "Calibration",
    "MapMethod",
    "Solved",
    "Solver",
    "grappa_for",
    "iteration_for",
    "learn",
    "problem_for",
    "ready_for",
    "solver_of",
    "unfolding_for",
]

Mask: TypeAlias = NDArray[np.bool_]
MapMethod: TypeAlias = Literal["walsh", "espirit"]


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """The image of a frame, made at once."""

    pixels: NDArray[np.complex64]  # (y, x)
    begun: object = None  # what a network that follows can go on from


Solver: TypeAlias = Callable[[NDArray[np.complex64], Executor | None], Solved | None]
"""Solves a frame (coil, line, x) of exactly the expected lines; a free worker helps. None where it is not for it."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Sensitivity maps of one slice, and what they make possible for the lines that its frames should have."""

    maps: NDArray[np.complex64]  # (coil, y, x), sum |S|^2 = 1
    inside: Mask  # (y, x) where the object is; elsewhere an undersampled image is known to be zero
    lines: NDArray[np.complex64]  # (coil, line, x) the calibration lines themselves
    first_line: int
    regularisation: float
    unfolding: Unfolding | None = None  # for frames of exactly the expected grid
    problem: Columns | None = None  # for frames of exactly the expected lines
    iteration: "Future[ColumnIteration] | None" = None  # to solve the problem while its inverse is not there
    grappa: GrappaWeights | None = None
    solver: "Future[Solver | None] | None" = None  # of the problem, perhaps still in a worker
    coming: Coming | None = None  # how long that worker will take


def learn(
    lines: NDArray[np.complex64],
    first_line: int,
    expected: Mask,
    method: MapMethod = "walsh",
    regularisation: float = 0.01,
    helpers: Executor | None = None,
) -> Calibration:
    """Maps, and weights or columns, from consecutive calibration lines (coil, line, x) in hybrid space.

    `expected` (line,) says which lines the frames to come should hold. One of `helpers` helps, and goes on beside the
    caller. Raises LinearError when there is no signal.
    """
    where = lines, len(expected), first_line
    estimate = walsh_maps if method == "walsh" else partial(espirit_maps, workers=helpers)
    makers: tuple[Callable[..., NDArray[Any]], ...] = estimate, support
    maps, inside = each(lambda make: make(*where), makers, helpers)
    return ready_for(Calibration(maps, inside, lines, first_line, regularisation), expected, helpers)


def ready_for(made: Calibration, expected: Mask, helpers: Executor | None = None) -> Calibration:
    """The same calibration with what frames of the expected lines (line,) will need: weights, or columns.

    What the iteration needs is made by one of `helpers`, if given: whoever waits for the columns alone need not wait.
    """
    unfolding = unfolding_for(made, expected)
    if unfolding is not None or not expected.any() or gapless(expected):
        return replace(made, unfolding=unfolding)
    problem = problem_for(made, expected)
    if helpers is not None:
        return replace(made, problem=problem, iteration=helpers.submit(prepare_iteration, problem))
    iteration: Future[ColumnIteration] = Future()
    iteration.set_result(prepare_iteration(problem))
    return replace(made, problem=problem, iteration=iteration)


def unfolding_for(calibration: Calibration, acquired: Mask) -> Unfolding | None:
    """Weights for frames of exactly these lines (line,); None where they are no grid that unfolding can use."""
    ready = calibration.unfolding
    grid = equispaced(acquired)
    if grid is None or grid[0] < 2 or grid[0] > len(calibration.maps):
        return None
    if ready is not None and (ready.acceleration, ready.first_line) == grid:
        return ready
    return prepare_unfolding(calibration.maps * calibration.inside, *grid, calibration.regularisation)


def problem_for(calibration: Calibration, acquired: Mask) -> Columns:
    """The column problem of frames of exactly these lines (line,)."""
    ready = calibration.problem
    if ready is not None and np.array_equal(ready.acquired, acquired):
        return ready
    box = bounding_box(calibration.inside)
    return prepare_columns(calibration.maps * calibration.inside, acquired, calibration.regularisation, box)


def solver_of(inverse: ColumnInverse) -> Solver:
    """Solve by one product with the dense inverse of the problem."""
    return lambda hybrid, workers: Solved(solve_columns(inverse, hybrid, workers))


def iteration_for(calibration: Calibration, problem: Columns) -> ColumnIteration:
    """What solving a column problem by iteration needs."""
    if calibration.iteration is not None and problem is calibration.problem:
        return calibration.iteration.result()
    return prepare_iteration(problem)


def grappa_for(calibration: Calibration, acceleration: int) -> GrappaWeights:
    """GRAPPA weights for lines so many steps apart."""
    ready = calibration.grappa
    if ready is not None and ready.acceleration == acceleration:
        return ready
    return fit_grappa(calibration.lines, acceleration)

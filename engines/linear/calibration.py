"""What is learned from the calibration lines of one slice, ready for its frames."""

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import ColumnInverse, Columns, prepare_columns
from engines.linear.espirit import espirit_maps
from engines.linear.maps import bounding_box, support, walsh_maps
from engines.linear.unfold import Unfolding, equispaced, prepare_unfolding

__all__ = ["Calibration", "MapMethod", "learn", "problem_for", "unfolding_for"]

Mask: TypeAlias = NDArray[np.bool_]
MapMethod: TypeAlias = Literal["walsh", "espirit"]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Sensitivity maps of one slice, and what they make possible for the lines that its frames should have."""

    maps: NDArray[np.complex64]  # (coil, y, x), sum |S|^2 = 1
    box: tuple[slice, slice]  # rows and columns that hold the object
    lines: NDArray[np.complex64]  # (coil, line, x) the calibration lines themselves
    first_line: int
    regularisation: float
    unfolding: Unfolding | None = None  # for frames of exactly the expected grid
    problem: Columns | None = None  # for frames of exactly the expected lines
    inverse: "Future[ColumnInverse | None] | None" = None  # of the problem, perhaps still in a worker


def learn(
    lines: NDArray[np.complex64],
    first_line: int,
    expected: Mask,
    method: MapMethod = "walsh",
    regularisation: float = 0.01,
) -> Calibration:
    """Maps, and weights or columns, from consecutive calibration lines (coil, line, x) in hybrid space.

    `expected` (line,) says which lines the frames to come should hold. Raises LinearError when there is no signal.
    """
    count = len(expected)
    estimate = walsh_maps if method == "walsh" else espirit_maps
    maps = estimate(lines, count, first_line)
    box = bounding_box(support(lines, count, first_line))
    made = Calibration(maps, box, lines, first_line, regularisation)
    unfolding = unfolding_for(made, expected)
    problem = problem_for(made, expected) if unfolding is None and expected.any() else None
    return Calibration(maps, box, lines, first_line, regularisation, unfolding, problem)


def unfolding_for(calibration: Calibration, acquired: Mask) -> Unfolding | None:
    """Weights for frames of exactly these lines (line,); None where they are no grid that unfolding can use."""
    ready = calibration.unfolding
    grid = equispaced(acquired)
    if grid is None or grid[0] < 2 or grid[0] > len(calibration.maps):
        return None
    if ready is not None and (ready.acceleration, ready.first_line) == grid:
        return ready
    return prepare_unfolding(calibration.maps, *grid, calibration.regularisation)


def problem_for(calibration: Calibration, acquired: Mask) -> Columns:
    """The column problem of frames of exactly these lines (line,)."""
    ready = calibration.problem
    if ready is not None and np.array_equal(ready.acquired, acquired):
        return ready
    return prepare_columns(calibration.maps, acquired, calibration.regularisation, calibration.box)

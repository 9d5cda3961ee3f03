"""One inverse for two images: P b is what the network begins with, and nearly the linear image.

It lacks the withheld lines, which the predictor gives back exactly (returned.py). Where lambda is large, as with a weak
signal, it is also too smooth to judge another image by; then it is P (b + lambda P b), Tikhonov's method iterated once
(King and Chillingworth, Numer Funct Anal Optim 1979; 1:499), which squares what lambda takes away.
"""

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.calibration import Solved, Solver
from engines.linear.columns import place, product
from engines.linear.errors import LinearError
from engines.unrolled.predictor import companion_lines
from engines.unrolled.prepared import SURE, Prepared
from engines.unrolled.problem import as_box, begin, normal_image
from engines.unrolled.returned import give_back
from engines.unrolled.trust import predicted_lines

__all__ = ["Begun", "begin_frame", "linear_solver", "serves_linear", "start_frame", "suits_linear"]

Complex: TypeAlias = NDArray[np.complex64]
Planes: TypeAlias = NDArray[np.float32]

NEAR, MOST_BESIDE = 8, 0.005  # lines to either side of the centre; share of their signal that may lie beside the box
LIKE: Final = (0.005, 0.15)  # lambda with which a linear image is about as good as with 0.01, or better; see README.md
FEWEST: Final = 0.25  # share of the lines; with fewer it judged clean network images too harshly (R = 8)
SMOOTH: Final = 0.07  # lambda by the share of the lines, the mean of N, beyond which it is iterated


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A frame as the network sees it, in units of its noise."""

    prepared: Prepared
    normal: Planes  # (1, 2, row, column) b
    start: Planes | None  # (1, 2, row, column) P b; None while there is no inverse
    measured: Complex  # (coil, line, column) withheld lines
    companion: Complex | None  # (coil, line, column) what P b predicts of them; None while there is no predictor


def begin_frame(prepared: Prepared, hybrid: Complex, helpers: Executor | None = None) -> Begun:
    """Begin with a frame (coil, line, x) in hybrid space; one of `helpers` helps, if one is free.

    Raises what start_frame raises.
    """
    normal, start = start_frame(prepared, hybrid, helpers)
    problem, predictor = prepared.box.columns_problem, prepared.predictor
    measured = hybrid[:, prepared.withheld, problem.columns] * np.float32(prepared.averages**0.5)
    companion = None
    if start is not None and predictor is not None:
        companion = companion_lines(predictor, as_box(prepared.box, normal[0]), len(problem.maps))
    return Begun(prepared, normal, start, measured, companion)


def start_frame(prepared: Prepared, hybrid: Complex, helpers: Executor | None = None) -> tuple[Planes, Planes | None]:
    """Make b and P b of a frame (coil, line, x) in hybrid space, in units of its noise; no P b while P is not there.

    Raises LinearError where the object has moved out of the columns that the network sees.
    """
    _stays(prepared, hybrid)
    scale = np.float32(prepared.averages**0.5)
    if prepared.problem is None:
        return normal_image(prepared.box, hybrid, helpers) * scale, None
    normal, start = begin(prepared.problem, hybrid, helpers)
    return (normal, start) if prepared.averages == 1 else (normal * scale, start * scale)


def suits_linear(prepared: Prepared) -> bool:
    """Whether the linear image could come from the network's inverse as well as from one of its own."""
    smallest, largest = LIKE
    problem = prepared.box.columns_problem
    dense = prepared.box.alias == prepared.box.padded[0]
    return bool(dense and problem.acquired.mean() >= FEWEST and smallest <= problem.regularisation <= largest)


def serves_linear(prepared: Prepared) -> bool:
    """Whether it can: all that it takes is there."""
    ready = prepared.problem is not None and prepared.problem.dense is not None
    whole = prepared.predictor is not None or not len(prepared.withheld)
    return ready and whole and suits_linear(prepared)


def linear_solver(prepared: Prepared) -> Solver:
    """Make the linear image of all lines from the network's inverse, which `serves_linear`, and hand on what began so.

    Not for a frame whose object has moved out of the network's columns.
    """

    def solve(hybrid: Complex, helpers: Executor | None) -> Solved | None:
        try:
            begun = begin_frame(prepared, hybrid, helpers)
        except LinearError:
            return None
        return Solved(_linear_image(begun, helpers), begun)

    return solve


def _linear_image(begun: Begun, helpers: Executor | None) -> Complex:
    """Image (y, x) of all lines, the withheld ones too, as bright as the object: lambda dims what is fully sampled."""
    prepared, ready = begun.prepared, begun.prepared.problem
    assert begun.start is not None  # noqa: S101 (serves_linear)
    assert ready is not None  # noqa: S101
    assert ready.dense is not None  # noqa: S101
    problem, pixels, companion = ready.columns_problem, as_box(ready, begun.start[0]), begun.companion
    dim = problem.regularisation / (1 + problem.regularisation)
    if problem.regularisation > SMOOTH * problem.acquired.mean():
        pixels = pixels + product(ready.dense, np.float32(problem.regularisation) * pixels, helpers)
        companion, dim = predicted_lines(problem, prepared.withheld, pixels), dim**2
    if prepared.predictor is not None and companion is not None:
        pixels = pixels + give_back(prepared.predictor, begun.measured - companion)
    return place(problem, pixels) / np.float32((1 - dim) * prepared.averages**0.5)


def _stays(prepared: Prepared, hybrid: Complex) -> None:
    """Raise LinearError where lines near the centre hold signal beside the box."""
    middle = len(prepared.acquired) // 2
    near = hybrid[:, middle - NEAR : middle + NEAR][:, prepared.acquired[middle - NEAR : middle + NEAR]]
    noise = near.shape[0] * near.shape[1]  # energy of sigma = 1 in a column
    energy = prepared.averages * (near.real**2 + near.imag**2).sum((0, 1)) - noise
    inside = float(energy[prepared.box.columns].sum())
    beside = float(energy.sum()) - inside
    if beside > max(SURE * (noise * len(energy)) ** 0.5, MOST_BESIDE * (inside + beside)):
        raise LinearError(
            f"{beside / (inside + beside):.1%} of the signal lies in columns that held none when the coils were "
            f"calibrated, wanted at most {MOST_BESIDE:.1%}: the object has moved; calibrate again"
        )

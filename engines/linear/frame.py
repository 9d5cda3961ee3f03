"""From the lines of one frame to one complex image: which method fits, and what it costs in noise."""

from concurrent.futures import Executor
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.calibration import (
    Calibration,
    Solver,
    grappa_for,
    iteration_for,
    learn,
    problem_for,
    unfolding_for,
)
from engines.linear.cgsense import Sense, cg_sense
from engines.linear.combine import adaptive, rss
from engines.linear.fourier import to_image
from engines.linear.grappa import fill_lines, sampling_grid
from engines.linear.masks import central_block, gapless
from engines.linear.partial_fourier import missing_part
from engines.linear.preconditioned import solve_iteratively
from engines.linear.unfold import unfold

__all__ = ["FEWEST_CALIBRATION_LINES", "Made", "Method", "make_image"]

Complex: TypeAlias = NDArray[np.complex64]
Mask: TypeAlias = NDArray[np.bool_]
Method: TypeAlias = Literal["auto", "live", "exact", "grappa", "cg", "zero_filled"]

FEWEST_CALIBRATION_LINES = 8
SOON_S = 0.25  # an iteration takes about as long, and takes it from the inverse
MORE_S = 0.05  # from the last column to the solver


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """An image, how it was made, and what had to be done otherwise than asked."""

    pixels: Complex  # (y, x), of a slab (z, y, x)
    engine: str  # fft | unfolding | columns | columns by iteration | grappa | cg-sense | zero filled
    noise_std: NDArray[np.float32] | None = None  # (y, x) where acquired noise has sigma 1 a complex sample
    fallback: str = ""  # why it is not what was asked for; empty where it is
    begun: object = None  # what a network that follows can go on from, where its inverse made the image


def make_image(
    hybrid: Complex,
    acquired: Mask,
    calibration: Calibration | None,
    method: Method = "auto",
    workers: Executor | None = None,
) -> Made:
    """Reconstruct a frame (coil, line, x) in hybrid space, of which the lines in `acquired` (line,) came.

    `auto` takes the inverse FFT where no line is left out, unfolding where the lines are exactly a grid, and otherwise
    solves every column with all lines that came. Without calibration it learns from the frame's own central lines, and
    where these are too few it fills with zeros and says so in `fallback`. Free `workers` share what takes long.
    """
    if not acquired.any():
        return Made(np.zeros(hybrid.shape[1:], np.complex64), "zero filled", fallback="no line of this frame came")
    if method == "zero_filled":
        return _combined(hybrid, calibration, "zero filled")
    if gapless(acquired):
        return _combined(hybrid, calibration or _own(hybrid, acquired), "fft")
    if len(hybrid) == 1:
        why = "one coil alone cannot fill in lines that did not come"
        return replace(_combined(hybrid, None, "zero filled"), fallback=why)
    calibration = calibration or _own(hybrid, acquired)
    if calibration is None:
        why = f"lines are left out and fewer than {FEWEST_CALIBRATION_LINES} calibration lines came"
        return replace(_combined(hybrid, None, "zero filled"), fallback=why)
    return _accelerated(hybrid, acquired, calibration, method, workers)


def _own(hybrid: Complex, acquired: Mask) -> Calibration | None:
    """What the frame's own central lines teach, where there are enough of them and of coils."""
    block = central_block(acquired)
    if len(hybrid) < 2 or block.stop - block.start < FEWEST_CALIBRATION_LINES or not hybrid[:, block].any():
        return None
    return learn(hybrid[:, block], block.start, acquired)


def _combined(hybrid: Complex, calibration: Calibration | None, engine: str) -> Made:
    """Inverse FFT of what is there, coils combined by their maps, or by their root sum of squares without any."""
    images = to_image(hybrid, 1)
    if len(images) == 1:
        return Made(images[0], engine, np.ones(images.shape[1:], np.float32))
    if calibration is None:
        return Made(rss(images).astype(np.complex64), engine)
    return Made(adaptive(images, calibration.maps), engine, np.ones(images.shape[1:], np.float32))


def _accelerated(
    hybrid: Complex, acquired: Mask, calibration: Calibration, method: Method, workers: Executor | None
) -> Made:
    if method == "grappa":
        return _grappa(hybrid, acquired, calibration)
    if method == "cg":
        sense = Sense(calibration.maps * calibration.inside, acquired[:, None], (0,), calibration.regularisation)
        return Made(cg_sense(hybrid, sense).image, "cg-sense")
    unfolding = unfolding_for(calibration, acquired) if method in ("auto", "live") else None
    if unfolding is not None:
        lines = hybrid[:, unfolding.first_line :: unfolding.acceleration]
        return Made(unfold(unfolding, lines), "unfolding", unfolding.noise_std)
    problem = problem_for(calibration, acquired)
    why = "these lines are no grid that unfolding can use" if method == "live" else ""
    solver = _ready(calibration) if problem is calibration.problem else None
    solved = None if solver is None else solver(hybrid, workers)
    if solved is not None:
        return Made(solved.pixels, "columns", fallback=why, begun=solved.begun)
    iteration = iteration_for(calibration, problem)
    return Made(solve_iteratively(iteration, hybrid), "columns by iteration", fallback=why)


def _grappa(hybrid: Complex, acquired: Mask, calibration: Calibration) -> Made:
    """Coil images by GRAPPA; the root of their sum of squares, as maps mean little where the object wraps round.

    With partial Fourier they are combined by their maps, because completing the image needs its phase.
    """
    acceleration, _ = sampling_grid(acquired)
    filled = fill_lines(grappa_for(calibration, acceleration), hybrid, acquired)
    known = calibration if missing_part(acquired) is not None else None
    return replace(_combined(filled, known, "grappa"), noise_std=None)


def _ready(calibration: Calibration) -> Solver | None:
    """What solves the columns at once, if a worker has finished it, or will have before an iteration would be done.

    An error in the worker is raised here.
    """
    if calibration.solver is None:
        return None
    remaining_s = inf if calibration.coming is None else calibration.coming.remaining_s()
    try:
        return calibration.solver.result(2 * remaining_s + MORE_S if remaining_s <= SOON_S else 0.0)
    except NotInTime:
        return None

"""What is made ready for the frames of one slice: the box, the inverse, and what predicts the withheld lines."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.ahead import Ahead, nothing_ahead
from engines.linear.calibration import Calibration
from engines.linear.columns import Block, never, nothing
from engines.unrolled.balance import KEPT
from engines.unrolled.predictor import Predictor, begin_predictor
from engines.unrolled.problem import NetworkBox, NetworkProblem, invert_box, network_box
from engines.unrolled.strength import level_of, regularisation_of
from engines.unrolled.trust import NEAREST, withheld_lines

__all__ = [
    "SURE",
    "Prepared",
    "close_support",
    "expected_lines",
    "inverse_bytes",
    "make_inverse",
    "make_ready",
    "prepare",
]

Mask = NDArray[np.bool_]
SURE: Final = 5  # standard deviations of the noise from which on something is signal
MARGIN: Final = 4  # columns, see close_support


@dataclass(slots=True, eq=False)
class Prepared:
    """One slice and mask as the network sees them; what takes long is added when a worker has made it."""

    calibration: Calibration
    box: NetworkBox  # states the lines that the network uses
    acquired: Mask  # (line,) of the frames it is for, withheld lines among them
    withheld: NDArray[np.intp]  # rows of k-space
    averages: int  # that the frames are means of
    kept: float = KEPT  # share of the noise of P b that the image keeps, see balance.py
    problem: NetworkProblem | None = None
    predictor: Predictor | None = None


def expected_lines(calibration: Calibration) -> Mask | None:
    """Lines (line,) that the frames of a calibration should hold; None where no line will be left out."""
    if calibration.problem is not None:
        return calibration.problem.acquired
    if calibration.unfolding is None:
        return None
    expected = np.zeros(calibration.maps.shape[1], np.bool_)
    expected[calibration.unfolding.first_line :: calibration.unfolding.acceleration] = True
    return expected


def close_support(calibration: Calibration) -> Mask:
    """Where the object is (y, x), without columns in which the calibration lines hold nothing but noise.

    Lines are sharp along x, so that the box ends where the object does; along y they are too few to tell.
    """
    noise = calibration.lines.shape[0] * calibration.lines.shape[1]  # energy of sigma = 1 in a column
    energy = (calibration.lines.real**2 + calibration.lines.imag**2).sum((0, 1))
    seen = np.flatnonzero(energy > noise + SURE * noise**0.5)
    close = calibration.inside.copy()
    if len(seen):
        close[:, : max(seen[0] - MARGIN, 0)] = False
        close[:, seen[-1] + 1 + MARGIN :] = False
    return close


def prepare(
    calibration: Calibration,
    acquired: Mask,
    strength: float,
    share: float = 0.0,
    nearest: float = NEAREST,
    averages: int = 1,
) -> Prepared:
    """State the problem of frames with these lines (line,), means of `averages`, of which `share` are withheld; 10 ms.

    `strength` is the network's (strength.py), `share` and `nearest` are those of trust.withheld_lines. Lines that are
    withheld leave holes in an equispaced grid: columns take the place of blocks. Raises LinearError where there is no
    object.
    """
    withheld = withheld_lines(acquired, share, nearest) if share else np.zeros_like(acquired)
    level, used = level_of(calibration.lines, calibration.inside) * averages**0.5, acquired & ~withheld
    regularisation = regularisation_of(level, used, strength)
    box = network_box(calibration.maps * close_support(calibration), used, regularisation)
    return Prepared(calibration, box, acquired, np.flatnonzero(withheld), averages)


def inverse_bytes(prepared: Prepared) -> int:
    """Memory that the inverse, an engine's copy of half of it in half the precision, and the predictor will take."""
    height, width = prepared.box.padded
    samples = prepared.box.columns_problem.maps.shape[0] * len(prepared.withheld)
    dense = height // 2 if prepared.box.alias == height else 0
    return 8 * width * (height * (prepared.box.alias * 5 // 4 + dense + samples) + 2 * samples**2)


def make_inverse(
    prepared: Prepared,
    cancelled: Callable[[], bool] = never,
    workers: Executor | None = None,
    then: Callable[[Block], None] = nothing,
    ahead: Ahead = nothing_ahead,
    predictor: Predictor | None = None,
) -> None:
    """Make the inverse: half a second, for a worker; one of `workers` helps, if one is free.

    It cannot be written then: engines round it, or hand it to a GPU, once, and may begin `ahead`. What comes `then`
    hears of each block; a predictor that is filled so is kept with the inverse.
    """
    made = invert_box(prepared.box, cancelled, workers, then, ahead)
    if made is None:
        return
    made = replace(made, noise=made.noise * np.float32(1 - prepared.kept))
    for array in (made.inverse, made.noise):
        array.flags.writeable = False
    prepared.predictor, prepared.problem = predictor, made


def make_ready(
    prepared: Prepared,
    cancelled: Callable[[], bool] = never,
    workers: Executor | None = None,
    then: Callable[[Block], None] = nothing,
    ahead: Ahead = nothing_ahead,
) -> None:
    """Make all that makes frames fast: the inverse, and what predicts the withheld lines and gives them back."""
    if not len(prepared.withheld):
        make_inverse(prepared, cancelled, workers, then, ahead)
        return
    predictor, predict = begin_predictor(prepared.box.columns_problem, prepared.withheld)

    def see(block: Block) -> None:
        predict(block)
        then(block)

    make_inverse(prepared, cancelled, workers, see, ahead, predictor)

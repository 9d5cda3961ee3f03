"""From the lines of one frame to a network image, its error map and how far it can be trusted.

Everything is in units of the whitened noise: sigma is 1 a complex sample, so images are images of SNR.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.linear.calibration import Calibration
from engines.linear.columns import never
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.preconditioned import prepare_iteration
from engines.unrolled.balance import KEPT
from engines.unrolled.bridge import Infer, Tensors, bridge
from engines.unrolled.predictor import Predictor, companion_lines, prepare_predictor
from engines.unrolled.problem import (
    NetworkBox,
    NetworkProblem,
    apply_inverse,
    as_box,
    as_planes,
    invert_box,
    network_box,
    normal_image,
    whole_image,
)
from engines.unrolled.returned import give_back, worth
from engines.unrolled.strength import level_of, regularisation_of, scan_of
from engines.unrolled.trust import (
    NEAREST,
    Trust,
    explained,
    judge,
    predicted_lines,
    solve_companion,
    withheld_lines,
)

__all__ = [
    "Cascades",
    "NetworkImage",
    "Prepared",
    "close_support",
    "draw",
    "expected_lines",
    "inverse_bytes",
    "make_inverse",
    "make_predictor",
    "make_ready",
    "prepare",
]

Mask = NDArray[np.bool_]
Complex = NDArray[np.complex64]
Consistency: TypeAlias = Literal["blocks", "columns", "iteration"]
SURE, MARGIN = 5, 4  # see close_support: standard deviations of the noise, columns
NEAR, MOST_BESIDE = 8, 0.005  # lines to either side of the centre; share of their signal that may lie beside the box
ERROR_SHARES: Final = (50, 95)  # percentiles of the error map that stand on an image


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


@dataclass(frozen=True, slots=True)
class Cascades:
    """The network in parts, for as long as there is no inverse."""

    graphs: Sequence[Infer]
    hidden: int  # channels of the state that they hand on


@dataclass(frozen=True, slots=True, eq=False)
class NetworkImage:
    """What the network made of a frame."""

    pixels: Complex  # (y, x)
    error: NDArray[np.float32]  # (y, x) under which nine pixels of ten have their error; zero outside the object
    error_percentiles: tuple[float, ...]  # ERROR_SHARES of the error map inside the object, in units of the noise
    trust: Trust | None
    consistency: Consistency
    returned: float = 0.0  # share of what the withheld lines would change that is in the image


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
    """Memory that the inverse and the predictor will take."""
    height, width = prepared.box.padded
    samples = prepared.box.columns_problem.maps.shape[0] * len(prepared.withheld)
    return 8 * width * (height * (prepared.box.alias + samples) + 2 * samples**2)


def make_inverse(prepared: Prepared, cancelled: Callable[[], bool] = never, workers: Executor | None = None) -> None:
    """Make the inverse: half a second, for a worker; one of `workers` helps, if one is free."""
    made = invert_box(prepared.box, cancelled, workers)
    prepared.problem = None if made is None else replace(made, noise=made.noise * np.float32(1 - prepared.kept))


def make_predictor(prepared: Prepared, cancelled: Callable[[], bool] = never) -> None:
    """Make what predicts the withheld lines, and gives them back, where there is an inverse; pays for a series."""
    if len(prepared.withheld) and prepared.problem is not None:
        prepared.predictor = prepare_predictor(prepared.problem, prepared.withheld, cancelled)


def make_ready(prepared: Prepared) -> None:
    """Make all that makes frames fast."""
    make_inverse(prepared)
    make_predictor(prepared)


def draw(
    whole: Infer, cascades: Cascades | None, prepared: Prepared, hybrid: Complex, helpers: Executor | None = None
) -> NetworkImage:
    """Make the network image of a frame (coil, line, x) in hybrid space; one of `helpers` helps, if one is free.

    Withheld lines judge it first and change it then. Raises EngineError where the engine fails, or gives NaN, or there
    is neither an inverse nor a network in parts, and LinearError where the object has moved out of the columns that the
    network sees.
    """
    problem = prepared.box.columns_problem
    wanted_shape("network, frame (coil, line, x)", hybrid, len(problem.maps), *problem.shape)
    scale = np.float32(prepared.averages**0.5)
    _stays(prepared, hybrid)
    measured = hybrid[:, prepared.withheld, problem.columns] * scale
    normal = normal_image(prepared.box, hybrid, helpers) * scale
    out, consistency = _outputs(whole, cascades, prepared, normal)
    planes, error = out["image"][0], out["error"][0, 0]
    if not (np.isfinite(planes).all() and np.isfinite(error).all()):
        raise EngineError("the network's image holds values that are not finite")
    trust, returned = None, 0.0
    if len(prepared.withheld):
        predicted = predicted_lines(problem, prepared.withheld, as_box(prepared.box, planes))
        trust = _trust(prepared, measured, predicted, normal[0])
        returned = 0.0 if prepared.predictor is None else worth(trust.error)
        if prepared.predictor is not None and returned:
            change = give_back(prepared.predictor, measured - predicted)
            planes = planes + as_planes(prepared.box, change * np.float32(returned))
    inside = prepared.box.inside
    error = np.where(inside, error, np.float32(0))
    return NetworkImage(
        whole_image(prepared.box, planes) / scale,
        whole_image(prepared.box, np.stack([error, np.zeros_like(error)])).real / scale,
        tuple(np.percentile(error[inside], ERROR_SHARES).tolist()),
        trust,
        consistency,
        returned,
    )


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


def _outputs(
    whole: Infer, cascades: Cascades | None, prepared: Prepared, normal: NDArray[np.float32]
) -> tuple[Tensors, Consistency]:
    box, ready = prepared.box, prepared.problem
    if ready is not None:
        form: Consistency = "columns" if box.alias == box.padded[0] else "blocks"
        tensors = {"normal": normal, "inverse": ready.inverse, "scan": scan_of(box), "noise": ready.noise}
        return whole(tensors), form
    if cascades is None:
        raise EngineError("the inverse of this slice is not ready yet, and the model has no cascades to bridge it")
    iteration = prepare_iteration(box.columns_problem)
    return bridge(cascades.graphs, cascades.hidden, box, iteration, normal, prepared.kept), "iteration"


def _trust(prepared: Prepared, measured: Complex, network: Complex, normal: NDArray[np.float32]) -> Trust:
    problem, rows = prepared.box.columns_problem, prepared.withheld
    predictor, ready = prepared.predictor, prepared.problem
    given = as_box(prepared.box, normal)
    if predictor is not None:
        return judge(predictor.gram, measured, network, companion_lines(predictor, given, len(problem.maps)))
    if ready is not None:
        companion = as_box(ready, apply_inverse(ready.inverse, normal))
    else:
        companion = solve_companion(problem, given)
    return judge(explained(problem, rows), measured, network, predicted_lines(problem, rows, companion))

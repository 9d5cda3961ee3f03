"""From the lines of one frame to a network image, its error map and how far it can be trusted.

Everything is in units of the whitened noise: sigma is 1 a complex sample, so images are images of SNR.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.linear.errors import wanted_shape
from engines.linear.preconditioned import prepare_iteration
from engines.unrolled.begun import Begun, begin_frame, start_frame
from engines.unrolled.bridge import Infer, Tensors, bridge
from engines.unrolled.early import Answer, Early
from engines.unrolled.prepared import Prepared
from engines.unrolled.problem import NetworkProblem, as_box, as_planes, whole_image
from engines.unrolled.returned import give_back, worth
from engines.unrolled.strength import scan_of
from engines.unrolled.trust import Trust, explained, judge, predicted_lines, solve_companion

__all__ = ["Beforehand", "Cascades", "NetworkImage", "draw", "draw_early"]

Complex = NDArray[np.complex64]
Planes = NDArray[np.float32]
Consistency: TypeAlias = Literal["blocks", "columns", "iteration"]
ERROR_SHARES: Final = (50, 95)  # percentiles of the error map that stand on an image


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
    borrowed: int = 0  # lines that are the frame before's


@dataclass(frozen=True, slots=True, eq=False)
class Beforehand:
    """What has been made of a frame before the network is asked for its image."""

    begun: Begun | None = None  # with the linear image
    early: Early | None = None  # before the last lines were there


NOTHING: Final = Beforehand()


def draw_early(
    whole: Infer, prepared: Prepared, hybrid: Complex, borrowed: NDArray[np.intp], helpers: Executor | None = None
) -> Early:
    """Run the network on a frame (coil, line, x) some rows of which are `borrowed`; its inverse is there.

    Raises what `draw` raises.
    """
    normal, start = start_frame(prepared, hybrid, helpers)
    if prepared.problem is None or start is None:
        raise EngineError("the inverse of this slice is not ready yet")
    answer = _answer(prepared, _whole(whole, prepared.problem, normal, start))
    return Early(prepared, borrowed, hybrid[:, borrowed, prepared.box.columns], answer)


def draw(
    whole: Infer,
    cascades: Cascades | None,
    prepared: Prepared,
    hybrid: Complex,
    helpers: Executor | None = None,
    beforehand: Beforehand = NOTHING,
) -> NetworkImage:
    """Make the network image of a frame (coil, line, x) in hybrid space; one of `helpers` helps, if one is free.

    It goes on from what the linear image has begun `beforehand`, if that was with the same preparation, and takes what
    was drawn early, if the lines that were borrowed are as they have come since. Withheld lines judge the image first
    and change it then. Raises EngineError where the engine fails, or gives NaN, or there is neither an
    inverse nor a network in parts, and LinearError where the object has moved out of the columns that the network sees.
    """
    problem = prepared.box.columns_problem
    wanted_shape("network, frame (coil, line, x)", hybrid, len(problem.maps), *problem.shape)
    begun, early = beforehand.begun, beforehand.early
    if begun is None or begun.prepared is not prepared or (begun.start is None and prepared.problem is not None):
        begun = begin_frame(prepared, hybrid, helpers)
    kept = early if early is not None and early.holds(prepared, hybrid) else None
    answer, consistency = _drawn(whole, cascades, begun) if kept is None else (kept.answer, _form(prepared))
    planes, trust, returned = answer.planes, None, 0.0
    if answer.predicted is not None:
        trust = _trust(begun, answer.predicted)
        returned = 0.0 if prepared.predictor is None else worth(trust.error)
        if prepared.predictor is not None and returned:
            change = give_back(prepared.predictor, begun.measured - answer.predicted)
            planes = planes + as_planes(prepared.box, change * np.float32(returned))
    scale = np.float32(prepared.averages**0.5)
    return NetworkImage(
        whole_image(prepared.box, planes) / scale,
        answer.error / scale,
        answer.error_percentiles,
        trust,
        consistency,
        returned,
        0 if kept is None else len(kept.borrowed),
    )


def _form(prepared: Prepared) -> Consistency:
    return "columns" if prepared.box.alias == prepared.box.padded[0] else "blocks"


def _whole(whole: Infer, ready: NetworkProblem, normal: Planes, start: Planes) -> Tensors:
    given = {"start": start, "normal": normal, "inverse": ready.inverse}
    return whole({**given, "scan": scan_of(ready), "noise": ready.noise})


def _answer(prepared: Prepared, outputs: Tensors) -> Answer:
    """Raises EngineError where it is not finite."""
    box, planes, error = prepared.box, outputs["image"][0], outputs["error"][0, 0]
    if not (np.isfinite(planes).all() and np.isfinite(error).all()):
        raise EngineError("the network's image holds values that are not finite")
    error = np.where(box.inside, error, np.float32(0))
    predicted = None
    if len(prepared.withheld):
        predicted = predicted_lines(box.columns_problem, prepared.withheld, as_box(box, planes))
    return Answer(
        planes,
        whole_image(box, np.stack([error, np.zeros_like(error)])).real,
        tuple(np.percentile(error[box.inside], ERROR_SHARES).tolist()),
        predicted,
    )


def _drawn(whole: Infer, cascades: Cascades | None, begun: Begun) -> tuple[Answer, Consistency]:
    prepared, box, ready = begun.prepared, begun.prepared.box, begun.prepared.problem
    if ready is not None and begun.start is not None:
        return _answer(prepared, _whole(whole, ready, begun.normal, begun.start)), _form(prepared)
    if cascades is None:
        raise EngineError("the inverse of this slice is not ready yet, and the model has no cascades to bridge it")
    iteration = prepare_iteration(box.columns_problem)
    outputs = bridge(cascades.graphs, cascades.hidden, box, iteration, begun.normal, prepared.kept)
    return _answer(prepared, outputs), "iteration"


def _trust(begun: Begun, network: Complex) -> Trust:
    prepared, companion = begun.prepared, begun.companion
    problem, rows, predictor = prepared.box.columns_problem, prepared.withheld, prepared.predictor
    if companion is None:
        if begun.start is not None:
            pixels = as_box(prepared.box, begun.start[0])
        else:
            pixels = solve_companion(problem, as_box(prepared.box, begun.normal[0]))
        companion = predicted_lines(problem, rows, pixels)
    gram = explained(problem, rows) if predictor is None else predictor.gram
    return judge(gram, begun.measured, network, companion)

"""The network without its inverse: one cascade at a time, the consistent step by conjugate gradients in between.

For the first frame, while the inverse is being made, and for lines that never get one. The image is the same to the
tolerance of the iteration; it takes about ten times as long.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.preconditioned import ColumnIteration, solve_from
from engines.unrolled.balance import balanced, rough_noise
from engines.unrolled.problem import NetworkBox, as_box, as_planes
from engines.unrolled.strength import scan_of

__all__ = ["Infer", "bridge"]

Tensors: TypeAlias = Mapping[str, NDArray[Any]]
Infer: TypeAlias = Callable[[dict[str, NDArray[Any]]], Tensors]

ITERATIONS, TOLERANCE = 40, 5e-4  # of the right-hand side, for lambda 0.1 or more; below it falls with lambda


def bridge(
    cascades: Sequence[Infer],
    hidden: int,
    box: NetworkBox,
    iteration: ColumnIteration,
    normal: NDArray[np.float32],
    kept: float = 0.0,
) -> Tensors:
    """Outputs `image` and `error` as the whole graph gives them, from b (1, 2, row, column).

    `cascades` are the graphs cascade_0, cascade_1, …, `hidden` the channels of their state, `iteration` solves the
    problem of the box, `kept` is that of balance.py. Papers: see problem.py.
    """
    given = as_box(box, normal[0])
    regularisation = np.float32(box.columns_problem.regularisation)
    tolerance = TOLERANCE * min(1.0, 10 * float(regularisation))
    pixels = solve_from(iteration, given, None, ITERATIONS, tolerance)
    height, width = box.padded
    state: NDArray[Any] = np.zeros((1, hidden, height // 2, width // 2), np.float32)
    scan = scan_of(box)
    out: Tensors = {}
    for cascade in cascades:
        out = cascade({"rho": as_planes(box, pixels)[None], "normal": normal, "scan": scan, "hidden": state})
        state = out.get("hidden_out", state)  # the last one hands nothing on
        planes = out["proposed" if "proposed" in out else "denoised"][0]
        denoised = as_box(box, planes * box.inside)
        pixels = solve_from(iteration, given + regularisation * denoised, pixels, ITERATIONS, tolerance)
    image = as_planes(box, pixels)
    if "proposed" in out:
        noise = rough_noise(scan, box.inside) * np.float32(1 - kept)
        image = balanced(out["proposed"][0], image, box.inside, noise)
    return {"image": image[None], "error": out["error"]}

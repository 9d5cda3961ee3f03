"""A model's network one cascade at a time, with the exact consistent step in between."""

from contextlib import ExitStack

import numpy as np

from engines.engine import open_engine
from engines.unrolled.balance import balanced
from engines.unrolled.problem import apply_inverse


def through_cascades(model, normal, inverse, scan, noise, start=None):
    """Image (1, 2, y, x) and error (1, 1, y, x) by its graphs cascade_0, …, run by ONNX Runtime."""
    start = apply_inverse(inverse, normal[0]) if start is None else start[0]
    state = model.graph("cascade_0").inputs["hidden"].shape[1], *(size // 2 for size in start.shape[1:])
    given = {"rho": start[None], "normal": normal, "scan": scan, "hidden": np.zeros((1, *state), np.float32)}
    with ExitStack() as stack:
        for name in sorted(set(model.card.graphs) - {"model"}):
            seen = (given["rho"] != 0).any((0, 1))
            made = stack.enter_context(open_engine(model, "onnxruntime", graph=name))(given)
            planes = made["proposed" if "proposed" in made else "denoised"][0]
            pixels = start + apply_inverse(inverse, scan[0] ** 2 * planes)
            given |= {"rho": pixels[None], "hidden": made.get("hidden_out")}
    return balanced(planes, pixels, seen, noise)[None], made["error"]

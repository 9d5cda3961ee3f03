"""A model's network one cascade at a time, run by ONNX Runtime."""

from contextlib import ExitStack

from engines.engine import open_engine
from engines.unrolled.problem import apply_inverse
from trt_build.in_parts import made_in_parts


def through_cascades(model, normal, inverse, scan, noise, start=None):
    """Image (1, 2, y, x) and error (1, 1, y, x) by its graphs cascade_0, …"""
    start = apply_inverse(inverse, normal[0])[None] if start is None else start
    tensors = {"start": start, "normal": normal, "inverse": inverse, "scan": scan, "noise": noise}
    hidden = int(model.graph("cascade_0").inputs["hidden"].shape[1])
    with ExitStack() as stack:
        names = sorted(set(model.card.graphs) - {"model"})
        parts = [stack.enter_context(open_engine(model, "onnxruntime", graph=name)) for name in names]
        made = made_in_parts(parts, hidden, tensors)
    return made["image"], made["error"]

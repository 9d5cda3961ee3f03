"""What a network in parts makes where the inverse is known: what bridge.py makes without it, cascade by cascade."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.unrolled.balance import balanced
from engines.unrolled.problem import apply_inverse

__all__ = ["made_in_parts"]

Tensors: TypeAlias = Mapping[str, NDArray[Any]]


def made_in_parts(cascades: Sequence[Callable[[Tensors], Tensors]], hidden: int, tensors: Tensors) -> Tensors:
    """`image` and `error` as the whole graph makes them of these tensors; `hidden` is of the cascades' state."""
    start, inverse, scan = tensors["start"], tensors["inverse"], tensors["scan"]
    inside = (start[0] != 0).any(0)
    regularisation, rho = np.float32(scan[0] ** 2), start
    state: NDArray[Any] = np.zeros((1, hidden, start.shape[2] // 2, start.shape[3] // 2), np.float32)
    out: Tensors = {}
    for cascade in cascades:
        out = cascade({"rho": rho, "normal": tensors["normal"], "scan": scan, "hidden": state})
        state = out.get("hidden_out", state)
        planes = out["proposed" if "proposed" in out else "denoised"][0] * inside
        rho = start + apply_inverse(inverse, regularisation * planes)
    image = balanced(out["proposed"][0], rho[0], inside, tensors["noise"])[None] if "proposed" in out else rho
    return {"image": image, "error": out["error"]}

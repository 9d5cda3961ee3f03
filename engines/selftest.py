"""Whether an engine computes, here and now, what the maker of the model computed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.model import Model

__all__ = ["relative_error", "self_test"]

Tensors = Mapping[str, NDArray[Any]]


def relative_error(got: NDArray[Any], wanted: NDArray[Any]) -> float:
    """|got - wanted| / |wanted| in the 2-norm; infinite where anything is not finite."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    size = float(np.linalg.norm(wanted.astype(np.float64).ravel()))
    return float(np.linalg.norm((got.astype(np.float64) - wanted).ravel())) / max(size, 1e-12)


def self_test(infer: Callable[[Tensors], Tensors], model: Model, graph: str, precision: str) -> float:
    """Run every test vector, which warms the engine up too; returns the largest relative error.

    Raises EngineError where one is above the tolerance of the card, or an output is not finite.
    """
    limits = model.card.selftest
    limit = limits.single if precision == "single" else limits.half
    worst = 0.0
    for case, (given, wanted) in model.cases(graph).items():
        got = infer(given)
        for port, expected in wanted.items():
            error = relative_error(got[port], expected)
            if not error <= limit:
                raise EngineError(
                    f"self-test: {model.card.name} {model.card.version}, graph {graph!r}, vector {case!r}, output "
                    f"{port!r}: relative error {error:.2g}, wanted at most {limit:g} ({precision})"
                )
            worst = max(worst, error)
    return worst

"""The linear reconstruction in NumPy behind the interface of a network: what every backend falls back to in spirit.

image = P b, the `start` that the graph `model` takes. error = the bound under which 90 % of the noise of a pixel
lies, 1.517 sqrt(P_ii): (P N P)_ii <= P_ii, and the size of complex noise is Rayleigh distributed. It says nothing of
what regularisation takes from the image.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.backends.interface import Job, Opened, Tensors, key_of
from engines.errors import EngineError

__all__ = ["infer", "missing", "open_graph"]

NINETY = math.sqrt(math.log(10))  # of a Rayleigh distribution whose mean square is 1


def missing() -> None:
    """Nothing: NumPy is always here."""


@contextmanager
def open_graph(job: Job) -> Iterator[Opened]:
    """Lend P b; the weights are not looked at."""
    if set(job.graph.inputs) != {"start", "normal", "inverse", "scan", "noise"}:
        taken = ", ".join(job.graph.inputs)
        raise EngineError(f"reference, {job.name}: got inputs {taken}, wanted start, normal, inverse, scan and noise")
    yield Opened(infer, np.__version__, "single", key_of(job, "reference", np.__version__, "single"))


def infer(tensors: Tensors) -> dict[str, NDArray[Any]]:
    """Image (frame, 2, y, x), error (frame, 1, y, x) of start (frame, 2, y, x), inverse (group, 2 alias, alias)."""
    start, inverse = tensors["start"], tensors["inverse"]
    frames, _, y, x = start.shape
    groups, _, alias = inverse.shape
    bound = NINETY * np.sqrt(np.diagonal(inverse[:, :alias], axis1=1, axis2=2).clip(min=0))
    error = bound.reshape(groups // x, x, alias).transpose(2, 0, 1).reshape(1, 1, y, x)
    return {"image": start.copy(), "error": np.broadcast_to(error, (frames, 1, y, x)).astype(np.float32)}

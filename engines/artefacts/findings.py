"""How the network's answer is read: probability, severity and region of each artefact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.artefacts.names import ARTEFACTS, BORDER
from engines.errors import EngineError

__all__ = ["Finding", "findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One artefact in one image."""

    artefact: str
    probability: float  # calibrated; of an image like those it was calibrated with
    severity: float  # change of the image by its size, in %, if the artefact is there
    region: tuple[int, int, int, int]  # rows [first, end) and columns [first, end) that speak for it


def findings(answer: Mapping[str, NDArray[Any]], shape: tuple[int, int]) -> tuple[Finding, ...]:
    """Read what the network says of one image (y, x); raises EngineError where it is not finite or of another shape."""
    count = len(ARTEFACTS)
    cells = tuple(-(-size // BORDER) for size in shape)
    wanted = {"probability": (1, count), "severity": (1, count), "place": (1, count, *cells)}
    for name, size in wanted.items():
        got = answer[name]
        if got.shape != size:
            raise EngineError(f"output {name!r}: got {got.shape}, wanted {size}; export the model again")
        if not np.isfinite(got).all():
            raise EngineError(f"output {name!r} is not finite")
    return tuple(
        Finding(name, float(probability), float(severity), _region(place, shape))
        for name, probability, severity, place in zip(
            ARTEFACTS, answer["probability"][0], answer["severity"][0], answer["place"][0], strict=True
        )
    )


def _region(place: NDArray[np.float32], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Box around the cells (y/BORDER, x/BORDER) that are nearer to the strongest one than to the middle one."""
    strong = place >= (float(place.max()) + float(np.median(place))) / 2
    spans = []
    for axis, size in enumerate(shape):
        cells = np.flatnonzero(strong.any(1 - axis))
        spans += [int(cells[0]) * BORDER, min((int(cells[-1]) + 1) * BORDER, size)]
    return spans[0], spans[1], spans[2], spans[3]

"""Structures of known size and contrast: invented by the network, or erased by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter

from trt_build.report.cases import Case

__all__ = ["CONTRASTS", "KINDS", "SIZES", "Kind", "Structure", "structures"]

Kind: TypeAlias = Literal["invented", "erased"]
KINDS: Final[tuple[Kind, ...]] = ("invented", "erased")
SIZES: Final = (3, 6, 12, 24)  # pixels across
CONTRASTS: Final = (0.1, 0.2, 0.4, 0.8)  # of the brain's mean
SOFT: Final = 0.5  # pixels that its edge is blurred by
PHASE: Final = 3.0  # pixels that the image's phase is smoothed over


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A bright disc in the brain."""

    kind: Kind
    size: int
    contrast: float
    pixels: NDArray[np.complex64]  # (y, x) with the phase of what is there


def structures(case: Case, chance: np.random.Generator) -> Iterator[Structure]:
    """One structure of every kind, size and contrast, each at a place of its own that lies in the brain as a whole."""
    rows, columns = np.mgrid[: case.brain.shape[0], : case.brain.shape[1]]
    level = float(np.abs(case.target[case.brain]).mean())
    smooth = gaussian_filter(case.target.real, PHASE) + 1j * gaussian_filter(case.target.imag, PHASE)
    phase = smooth / np.maximum(np.abs(smooth), 1e-9)
    for kind, size, contrast in product(KINDS, SIZES, CONTRASTS):
        places = np.argwhere(binary_erosion(case.brain, iterations=size // 2 + 1))
        row, column = places[chance.integers(len(places))]
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= (size / 2) ** 2
        shade = gaussian_filter(disc.astype(np.float32), SOFT)
        yield Structure(kind, size, contrast, (shade * (contrast * level) * phase).astype(np.complex64))

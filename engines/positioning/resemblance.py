"""Whether two scouts show the same head: its brain needs no stretch to lie upon itself, another one does."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.positioning.descent import shading_of, solved
from engines.positioning.grid import Sheet, evened
from engines.positioning.rigid import Image, Moved, Points, correlation, trusted
from engines.positioning.scout import Scout
from engines.positioning.since import SHADE_MM, levelled, near_to

__all__ = ["Resemblance", "level_at", "resemblance"]

Array: TypeAlias = NDArray[np.float64]
WIDTH_MM: Final = 4.5  # full width at half maximum of the smoothing
STEPS: Final = 20
ENOUGH: Final = 0.01  # mm, as the rim of a head moves: a step that is smaller is the last
RADIUS_MM: Final = 100.0
FEWEST: Final = 300  # points of a brain
# Validation heads, 24 pairs of scouts of one and 240 of two: one is stretched by 0.2 to 1.4 % (once by 4.3 %, SNR
# 5 to 8) and correlates by 0.53 and more; two that are not unlike at first sight by 3.0 % and more.
ALIKE: Final = 0.5  # correlation in the brain from which it may be the same head
STRETCHED: Final = 0.022  # root mean square by which the same head may seem stretched


@dataclass(frozen=True, slots=True)
class Resemblance:
    """How much the brains of two scouts are alike without the coils' shading, once one is stretched to the other."""

    correlation: float
    stretch: float  # root mean square of the principal stretches less 1

    @property
    def same(self) -> bool:
        """Whether it is one head."""
        return self.correlation >= ALIKE and self.stretch <= STRETCHED


def level_at(scout: Scout, places_mm: Array) -> NDArray[np.float32]:
    """Brightness of a scout at places (n, 3) without the coils' shading."""
    sheet = Sheet(scout)
    return sheet.at(evened(sheet, SHADE_MM, WIDTH_MM)[0], places_mm)


def resemblance(then: Points, now: Sheet, brain: NDArray[np.bool_], moved: Moved) -> Resemblance:
    """Stretch level points of a scout upon the brain (z, y, x) of another one, from where the head has gone.

    Gauss-Newton over twelve parameters; contrast and what is left of the shading are solved for at every step.
    """
    placed = near_to(Points(moved.to_now(then.places_mm), then.values), now, brain)
    if len(placed.values) < FEWEST:
        return Resemblance(0.0, 0.0)
    image, shading = Image.of(levelled(now), WIDTH_MM, brain), shading_of(placed.places_mm)
    wanted, weights = placed.values.astype(np.float64), np.ones(len(placed.values))
    matrix, shift, likeness = np.eye(3), np.zeros(3), 0.0
    for _ in range(STEPS):
        places = placed.places_mm @ matrix.T + shift
        values, slopes, inside = image.at(places)
        if np.count_nonzero(inside) < FEWEST:
            return Resemblance(0.0, 0.0)
        terms = np.concatenate((np.ones((len(values), 1)), values[:, None] * shading), axis=1)
        share = solved(terms, inside * weights, wanted[:, None])[:, 0]
        left = wanted - terms @ share
        weights, likeness = trusted(left, inside), correlation(wanted - left, placed.values, inside)
        pull, middle = slopes * (shading @ share[1:])[:, None], places[inside].mean(axis=0)
        arms = (places - middle) / RADIUS_MM
        design = np.concatenate(((pull[:, :, None] * arms[:, None]).reshape(-1, 9), pull), axis=1)
        step = solved(design, weights, left[:, None])[:, 0]
        grown = np.eye(3) + step[:9].reshape(3, 3) / RADIUS_MM
        matrix, shift = grown @ matrix, grown @ (shift - middle) + middle + step[9:]
        if np.abs(step).max() < ENOUGH:
            break
    stretches = np.linalg.svd(matrix, compute_uv=False) - 1
    return Resemblance(likeness, float(np.sqrt((stretches**2).mean())))

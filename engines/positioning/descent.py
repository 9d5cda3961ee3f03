"""Steps of Gauss-Newton over a pose, for two measurements that meet at places, in any contrasts."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.positioning.rigid import Moved, correlation, rotation, trusted

__all__ = ["FEWEST", "RADIUS_MM", "Meet", "Met", "descended", "shading_of", "solved"]

Array: TypeAlias = NDArray[np.float64]
FEWEST: Final = 300  # points that a comparison needs
STEPS: Final = 25
ENOUGH: Final = 3e-2  # mm, and mrad times 10 cm: a step that is smaller is the last
RADIUS_MM: Final = 100.0
POWERS: Final = 4  # of a polynomial that takes the contrast of then to that of now,
ORDER: Final = 2  # each with a polynomial of the place, of this order at least, for what is left of the shading
STIFF: Final = 1e-6  # of the mean eigenvalue, so that terms that tell the same do no harm


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """What is seen at the same n places of a body, then and now, if it lies in a pose."""

    places_mm: Array  # (n, 3) then, LPS
    then: Array  # (n,)
    now: Array  # (n,)
    slopes: Array  # (n, 3) of what was seen then, per mm, as far as it shows them
    further: Array | None  # (n, 3) of what is seen now, per mm, where then shows none


Meet: TypeAlias = Callable[[Array, Array], Met]  # of the turn and the shift that take places of now to those of then


def descended(meet: Meet, found: Moved, order: int = ORDER, steps: int = STEPS) -> Moved:
    """Steps from a guess until they are small; a likeness of 0 where too few points meet.

    What takes one contrast to the other, which may vary by a polynomial of the place of some order, is solved for at
    every step and projected out (Golub and Pereyra, SIAM J Numer Anal 1973; 10:413); points that fit badly count less.
    """
    turn, shift, likeness = found.turn, found.shift_mm, 0.0
    size, share = 0.0, None
    for _ in range(steps):
        met = meet(turn, shift)
        if len(met.then) < FEWEST:
            return Moved(turn, shift, 0.0)
        size = size or float(np.percentile(met.then, 99.5)) or 1.0
        powers, shading = (met.then / size)[:, None] ** np.arange(POWERS), shading_of(met.places_mm, order)
        terms = (powers[:, :, None] * shading[:, None]).reshape(len(powers), -1)
        everywhere = np.ones(len(terms), np.bool_)
        weights = everywhere.astype(np.float64) if share is None else trusted(met.now - terms @ share, everywhere)
        share = solved(terms, weights, met.now[:, None])[:, 0]
        left = met.now - terms @ share
        weights = trusted(left, everywhere)
        likeness = correlation(met.now - left, met.now.astype(np.float32), everywhere)
        growth = shading @ share.reshape(POWERS, -1).T
        steepness = (powers[:, :-1] * np.arange(1, POWERS) * growth[:, 1:]).sum(axis=1) / size
        pull = met.slopes * steepness[:, None] + (0.0 if met.further is None else met.further)
        middle = met.places_mm.mean(axis=0)
        design = np.concatenate((np.cross(met.places_mm - middle, pull), pull, left[:, None]), axis=1)
        design = design - terms @ solved(terms, weights, design)
        design, left = design[:, :6], design[:, 6]
        normal = design.T @ (design * weights[:, None])
        step = np.linalg.solve(normal + 1e-9 * np.diag(normal).max() * np.eye(6), design.T @ (left * weights))
        small = rotation(step[:3])
        turn, shift = small @ turn, small @ (shift - middle) + middle + step[3:]
        if max(RADIUS_MM * float(np.abs(step[:3]).max()), float(np.abs(step[3:]).max())) < ENOUGH:
            break
    return Moved(turn, shift, likeness)


def solved(terms: Array, weights: Array, wanted: Array) -> Array:
    """Shares (term, n) of terms (point, term) in what is wanted (point, n)."""
    weighted = terms * weights[:, None]
    normal = weighted.T @ terms
    normal[np.diag_indices_from(normal)] += STIFF * np.trace(normal) / len(normal)
    return np.asarray(np.linalg.solve(normal, weighted.T @ wanted), np.float64)


def shading_of(places_mm: Array, order: int = ORDER) -> Array:
    """Powers (n, term) of the place, of low order."""
    centred = (places_mm - places_mm.mean(axis=0)) / RADIUS_MM
    orders = [axes for power in range(order + 1) for axes in combinations_with_replacement(range(3), power)]
    return np.stack([np.prod(centred[:, list(axes)], axis=1) for axes in orders], axis=1)

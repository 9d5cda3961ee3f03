"""Which lines a scan acquires, and where its calibration lines lie."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trt_build.data.recipe import Recipe

__all__ = ["Kind", "Sampling", "draw_kind", "draw_sampling", "equispaced_lines", "random_lines", "split_lines"]

Kind: TypeAlias = Literal["grid", "random", "blocks"]
Mask: TypeAlias = NDArray[np.bool_]
KINDS: Final[tuple[Kind, ...]] = ("grid", "random", "blocks")
WEIGHTS: Final = {2: 0.08, 3: 0.14, 4: 0.22, 5: 0.12, 6: 0.16, 7: 0.08, 8: 0.20}  # of accelerations


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """The lines of a scan."""

    kind: Kind
    acceleration: float
    acquired: Mask  # (line,)
    calibration: slice  # rows of the calibration lines; of a scan before this one where they are not acquired


def draw_kind(chance: np.random.Generator, recipe: Recipe, coils: int) -> tuple[Kind, int]:
    """Kind and acceleration of a scan; no grid is coarser than the array has coils."""
    drawn = chance.random()
    kind = KINDS[0 if drawn < recipe.grids else 1 if drawn < recipe.grids + recipe.randoms else 2]
    low, high = recipe.acceleration
    possible = [n for n in WEIGHTS if low <= n <= min(high, coils)] or [max(1, int(low))]
    weights = np.array([WEIGHTS.get(n, 1.0) for n in possible])
    return kind, int(chance.choice(possible, p=weights / weights.sum()))


def draw_sampling(chance: np.random.Generator, recipe: Recipe, kind: Kind, acceleration: int, lines: int) -> Sampling:
    """Mask of a kind, with its calibration lines; now and then a few lines are withheld, as for the trust figure."""
    count = min(int(chance.integers(recipe.calibration[0], recipe.calibration[1] + 1)), lines // 6)
    first = lines // 2 - count // 2
    calibration = slice(first, first + count)
    if kind == "random":
        acquired = random_lines(chance, lines, acceleration, calibration)
    else:
        acquired = equispaced_lines(lines, acceleration, int(chance.integers(acceleration)))
        if kind == "grid":
            acquired[calibration] = True
    if kind != "blocks" and chance.random() < recipe.withheld:
        outside = np.flatnonzero(acquired)
        outside = outside[(outside < calibration.start) | (outside >= calibration.stop)]
        share = round(chance.uniform(0.02, 0.04) * acquired.sum())
        acquired[chance.choice(outside, min(max(1, share), len(outside)), replace=False)] = False
    return Sampling(kind, float(acceleration), acquired, calibration)


def equispaced_lines(lines: int, acceleration: int, first: int) -> Mask:
    """Every `acceleration`-th line (line,) from `first` on."""
    acquired = np.zeros(lines, np.bool_)
    acquired[first::acceleration] = True
    return acquired


def random_lines(chance: np.random.Generator, lines: int, acceleration: float, calibration: slice) -> Mask:
    """Draw lines / acceleration lines, the calibration lines among them, denser near the centre.

    Where calibration lines leave little, a fifth of as many again is spread over the rest.
    """
    acquired = np.zeros(lines, np.bool_)
    acquired[calibration] = True
    have = calibration.stop - calibration.start
    more = max(round(lines / acceleration) - have, round(0.6 * (lines - have) / acceleration) - have // 4, have // 5)
    outside = np.flatnonzero(~acquired)
    density = (1.05 - np.abs(outside - lines // 2) / (lines / 2)) ** chance.uniform(0.3, 3)
    drawn = chance.choice(outside, min(more, len(outside)), replace=False, p=density / density.sum())
    acquired[drawn] = True
    return acquired


def split_lines(chance: np.random.Generator, sampling: Sampling, share: float = 0.4) -> tuple[Mask, NDArray[np.intp]]:
    """Acquired lines for data consistency (line,), and those (rows) to be predicted: `share`, none of the innermost 4.

    Yaman et al., Magn Reson Med 2020; 84:3172.
    """
    rows = np.flatnonzero(sampling.acquired)
    free = rows[np.abs(rows - len(sampling.acquired) // 2) > 2]
    lost = np.sort(chance.choice(free, round(share * len(free)), replace=False))
    kept = sampling.acquired.copy()
    kept[lost] = False
    return kept, lost

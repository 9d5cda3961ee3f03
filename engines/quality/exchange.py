"""Exchange: whether two coils of an array have changed places, by which coils their noise is alike to."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Exchange", "exchange", "likeness"]

FEWEST: Final = 4  # coils; of fewer each is alike to the others in too few ways
APART: Final = 10.0  # times what chance makes of coils that are alike to none


@dataclass(frozen=True, slots=True)
class Exchange:
    """The two coils whose exchange explains most of what has changed."""

    first: int
    second: int
    explained: float  # share of the change, at most 1


def likeness(covariance: NDArray[Any]) -> NDArray[np.float64]:
    """Correlation of noise (coil, coil), magnitudes, from a covariance of that shape; 0 of a coil with itself.

    It is a matter of the coils and the patient who loads them: the gain of a receiver cancels.
    """
    power = np.real(np.diag(covariance)).astype(np.float64)
    alive = power > 0
    scale = np.where(alive, 1 / np.sqrt(np.where(alive, power, 1)), 0)
    made: NDArray[np.float64] = np.abs(scale[:, None] * np.asarray(covariance, np.complex128) * scale)
    np.fill_diagonal(made, 0)
    return made


def exchange(now: NDArray[np.float64], before: NDArray[np.float64], samples: int) -> Exchange | None:
    """Find the two coils whose exchange makes their likeness (coil, coil) most like what it was `before`.

    `explained` is the part of the sum of squared differences that goes when the two are exchanged: near 1 where they
    were. A coil that fell silent, or is noisier, explains half at most, whichever coil it is exchanged with. None where
    coils cannot be told apart, for `samples` of noise of each: there are fewer than four, or no noise in common.
    """
    count = len(before)
    apart = np.square(before[:, None] - before).sum(axis=2) - 2 * np.square(before)  # but for what the two share
    pairs = np.triu_indices(count, 1)
    if count < FEWEST or np.median(apart[pairs]) < APART * (count - 2) / samples:
        return None
    common = now @ before
    own = np.diag(common)
    gained = 2 * (common + common.T - own - own[:, None] + 2 * now * before)[pairs]
    best = int(np.argmax(gained))
    changed = float(np.square(now - before).sum()) / 2
    share = float(gained[best]) / changed if changed > 0 else 0.0
    return Exchange(int(pairs[0][best]), int(pairs[1][best]), max(share, 0.0))

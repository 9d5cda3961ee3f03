"""Receiver operating characteristics: area, its confidence interval over subjects, the curve, a share's interval."""

from collections.abc import Mapping
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

__all__ = ["Area", "area", "curve", "wilson"]

Z95: Final = 1.96
Scores = Mapping[str, NDArray[np.float64]]  # of a subject's images


class Area(NamedTuple):
    """Area under the curve, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


def area(planted: Scores, clean: Scores) -> Area:
    """Probability that an image with a structure scores higher than one without, a tie counting half.

    The interval is a jackknife over subjects, as images of one are not independent; Hanley & McNeil, Radiology 1982;
    143:29, and Efron, Ann Stat 1979; 7:1. Wants three subjects or more that have both.
    """
    subjects = sorted(planted.keys() & clean.keys())
    wins = np.array([[_wins(planted[one], clean[other]) for other in subjects] for one in subjects])
    pairs = np.array([[len(planted[one]) * len(clean[other]) for other in subjects] for one in subjects])
    count, value = len(subjects), float(wins.sum() / pairs.sum())
    rests = [np.ix_(rest, rest) for rest in (np.delete(np.arange(count), n) for n in range(count))]
    without = np.array([wins[rest].sum() / pairs[rest].sum() for rest in rests])
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    reach = float(t.ppf(0.975, count - 1)) * error
    return Area(value, max(value - reach, 0.0), min(value + reach, 1.0))


def _wins(planted: NDArray[np.float64], clean: NDArray[np.float64]) -> float:
    above = planted[:, None] > clean
    return float(above.sum() + 0.5 * (planted[:, None] == clean).sum())


def curve(planted: NDArray[np.float64], clean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates for every threshold, from none flagged to all."""
    thresholds = np.concatenate([[np.inf], np.sort(np.concatenate([planted, clean]))[::-1]])
    false, true = ((scores[:, None] >= thresholds).mean(0) for scores in (clean, planted))
    return false, true


def wilson(found: int, of: int) -> tuple[float, float]:
    """95 % interval of a share; Wilson, J Am Stat Assoc 1927; 22:209."""
    share, more = found / of, Z95**2 / of
    middle, half = share + more / 2, Z95 * sqrt(share * (1 - share) / of + more / (4 * of))
    return max((middle - half) / (1 + more), 0.0), min((middle + half) / (1 + more), 1.0)

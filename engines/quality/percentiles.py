"""Percentiles of past scans with a bound that holds whatever the distribution is: order statistics."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, betaincinv  # scipy.stats takes 0.4 s to import, which the plugin's start would wait for

__all__ = ["percentile_bound", "scans_needed", "share_interval"]


def scans_needed(share: float, confidence: float) -> int:
    """Fewest values whose largest one is, with that confidence, not below the percentile `share` (0 to 1)."""
    count = math.ceil(math.log(1 - confidence) / math.log(share))
    return count + (1 - share**count < confidence)


def percentile_bound(values: Sequence[float], share: float, confidence: float) -> float | None:
    """Smallest of the values that, with that confidence, is not below the percentile `share`; None with too few values.

    The k-th smallest of n lies below it exactly when k or more do, and how many do is binomial (Wilks, Ann Math Stat
    1941; 12:91; Hahn & Meeker, Statistical Intervals, 1991, section 5.2).
    """
    ordered = sorted(values)
    if len(ordered) < scans_needed(share, confidence):
        return None
    count = len(ordered)
    place = int(np.searchsorted(bdtr(np.arange(count + 1.0), count, share), confidence - 1e-12)) + 1
    return ordered[min(place, len(ordered)) - 1]


def share_interval(hits: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a share of which `hits` of `total` were seen (Clopper & Pearson, Biometrika 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, total - hits + 1, tail))
    high = 1.0 if hits == total else float(betaincinv(hits + 1, total - hits, 1 - tail))
    return low, high

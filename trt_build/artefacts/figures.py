"""How well scores tell images with an artefact from those without, and what probabilities are worth."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["auroc", "calibration_error", "interval"]

Scores = NDArray[np.floating]
Truths = NDArray[np.bool_]
BINS: Final = 15  # of equal width
DRAWS: Final = 1000


def auroc(scores: Scores, truths: Truths) -> float:
    """Area under the ROC curve: how often an image with the artefact scores above one without; NaN without either."""
    yes, no = scores[truths], np.sort(scores[~truths])
    if not len(yes) or not len(no):
        return float("nan")
    below, at_most = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return float((below + at_most).mean() / (2 * len(no)))


def calibration_error(probabilities: Scores, truths: Truths) -> float:
    """Expected calibration error: mean over BINS of |mean probability - share that has it|, by their numbers.

    Naeini et al., AAAI 2015; 2901, of a binary probability.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    gaps = np.bincount(bins, probabilities, BINS) - np.bincount(bins, truths.astype(float), BINS)
    return float(np.abs(gaps).sum() / counts.sum())


def interval(
    figure: Callable[[Scores, Truths], float], scores: Scores, truths: Truths, groups: NDArray[np.integer]
) -> tuple[float, float]:
    """95 % confidence interval of a figure by drawing groups (scans) with replacement, DRAWS times."""
    chance = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    values = []
    for _ in range(DRAWS):
        drawn = np.concatenate([members[n] for n in chance.integers(len(members), size=len(members))])
        values.append(figure(scores[drawn], truths[drawn]))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)

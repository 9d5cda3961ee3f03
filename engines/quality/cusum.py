"""Drift: tests that say, scan after scan, that a figure no longer is what it was, at a known rate of false alarms.

Page, Biometrika 1954; 41:100 (sums). Siegmund, Sequential Analysis, 1985 (run length). McDonald, Stat Probab Lett
1990; 9:483 (sequential ranks). Reynolds & Stoumbos, J Qual Technol 1999; 31:87 (share of hits).
"""

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from statistics import NormalDist, median
from typing import Final

import numpy as np

from engines.quality.percentiles import share_interval

__all__ = ["BASELINE", "Alarm", "Level", "Share", "hits_run_length", "hits_threshold", "run_length", "threshold"]

BASELINE: Final = 50  # scans that only teach what is normal
SLACK: Final = 0.5  # k, in standard deviations: shifts of twice this are found soonest
OVERSHOOT: Final = 1.166  # Siegmund's correction: a sum does not end on its threshold but beyond it
TOLERATED: Final = 0.02  # share of hits that never counts as a rise
RISE: Final = 3.0  # the rise in the share of hits that is found soonest
MOST: Final = 0.4  # share of hits above which a rise is not looked for
NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was found: where it began, and from where to where the figure went."""

    since: int  # number of the value with which the drift began, 0 is the first one ever given
    normal: float  # before: median, or share of hits
    now: float  # since then
    far: (
        float | None
    )  # in robust standard deviations of the first values; None where these were all alike, and for shares


def run_length(height: float, shift: float = 0.0, slack: float = SLACK) -> float:
    """Mean number of values of N(shift, 1) until one sum of them passes `height`: Siegmund's approximation."""
    drift, reach = shift - slack, height + OVERSHOOT
    if drift == 0:
        return reach**2
    return (math.exp(-2 * drift * reach) + 2 * drift * reach - 1) / (2 * drift**2)


def threshold(per_10000: float, slack: float = SLACK) -> float:
    """Height h at which two sums, one up and one down, alarm so many times in 10,000 values where nothing drifts."""
    wanted = 2 * 10_000 / per_10000
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle, 0, slack) < wanted else (low, middle)
    return high


def hits_run_length(share: float, step: int, height: int) -> float:
    """Mean number of scans until a sum of +(step - 1) a hit and -1 otherwise, never below 0, reaches `height`.

    Exact, from the Markov chain of the sum's whole numbers (Brook & Evans, Biometrika 1972; 59:539).
    """
    state = np.arange(height)
    moves = np.zeros((height, height))
    np.add.at(moves, (state, np.maximum(state - 1, 0)), 1 - share)
    stays = state[state + step - 1 < height]
    np.add.at(moves, (stays, stays + step - 1), share)
    return float(np.linalg.solve(np.eye(height) - moves, np.ones(height))[0])


def hits_threshold(share: float, step: int, per_10000: float) -> int:
    """Smallest height that is reached at most so many times in 10,000 scans with that share of hits."""
    wanted = 10_000 / per_10000
    high = step
    while hits_run_length(share, step, high) < wanted:
        high *= 2
    low = high // 2 if high > step else 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if hits_run_length(share, step, middle) < wanted else (low, middle)
    return high


@dataclass(slots=True)
class Level:
    """A figure that should stay where it is: two sums of the normal scores of its sequential ranks.

    The rank of a value among all that came before it has the same distribution whatever that of the figure is, and does
    not depend on earlier ranks. So the false-alarm rate holds without a guess at mean, spread or shape. After an alarm
    everything begins anew, and the new level is learned as the normal one.
    """

    per_10000: float
    height: float = 0.0
    _sorted: list[float] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)
    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _begun: list[int] = field(default_factory=lambda: [0, 0])  # place in _values where each sum left zero
    _offset: int = 0

    def __post_init__(self) -> None:
        self.height = threshold(self.per_10000)

    def add(self, value: float) -> Alarm | None:
        """Take the next value; an alarm where it is one too many."""
        low, high = bisect_left(self._sorted, value), bisect_right(self._sorted, value)
        insort(self._sorted, value)
        self._values.append(value)
        count = len(self._values)
        if count <= BASELINE:
            self._begun = [count, count]
            return None
        score = NORMAL.inv_cdf(((low + high) / 2 + 0.5) / count)
        for side, sign in enumerate((1, -1)):
            self._sums[side] = max(0.0, self._sums[side] + sign * score - SLACK)
            if self._sums[side] == 0:
                self._begun[side] = count
            if self._sums[side] > self.height:
                return self._alarm(self._begun[side])
        return None

    def _alarm(self, place: int) -> Alarm:
        before, since = self._values[:place], self._values[place:]
        normal, now = median(before), median(since)
        spread = 1.4826 * median(abs(value - normal) for value in before)
        alarm = Alarm(self._offset + place, normal, now, (now - normal) / spread if spread else None)
        self._offset += len(self._values)
        self._values, self._sorted, self._sums = [], [], [0.0, 0.0]
        return alarm


@dataclass(slots=True)
class Share:
    """A share of scans, such as those with a flag, that should not rise: a sum of hits.

    What is normal is the upper 95 % bound of the share in the first scans, at
    least TOLERATED: with it, the false-alarm rate holds for shares up to that bound, at the price of a later alarm.
    Where it is above MOST, it is learned anew.
    """

    per_10000: float
    _hits: list[bool] = field(default_factory=list)
    _sum: int = 0
    _begun: int = 0
    _offset: int = 0
    _rule: tuple[float, int, int] | None = None  # share, step, height

    def add(self, hit: bool) -> Alarm | None:  # noqa: FBT001 - a hit or none is what is counted
        """Take the next scan; an alarm where hits are too many."""
        self._hits.append(hit)
        count = len(self._hits)
        if count < BASELINE:
            return None
        if self._rule is None:
            self._learn()
            return None
        share, step, height = self._rule
        self._sum = max(0, self._sum + (step - 1 if hit else -1))
        if self._sum == 0:
            self._begun = count
        if self._sum < height:
            return None
        since = self._hits[self._begun :]
        alarm = Alarm(self._offset + self._begun, share, sum(since) / len(since), None)
        self._begin_anew()
        return alarm

    def _begin_anew(self) -> None:
        self._offset += len(self._hits)
        self._hits, self._sum, self._rule = [], 0, None

    def _learn(self) -> None:
        hits, total = sum(self._hits), len(self._hits)
        share = max(TOLERATED, share_interval(hits, total, 0.9)[1])
        if share > MOST:
            self._begin_anew()
            return
        self._begun = total
        risen = min(RISE * share, (1 + share) / 2)
        gain, cost = math.log(risen * (1 - share) / (share * (1 - risen))), math.log((1 - share) / (1 - risen))
        step = max(2, round(gain / cost))
        self._rule = share, step, hits_threshold(share, step, self.per_10000)

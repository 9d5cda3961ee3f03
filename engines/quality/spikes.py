"""Spikes in k-space: single samples that neither noise nor the signal of their neighbours can explain."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Predictor", "Spikes", "find_spikes", "mend", "predictor"]

REACH: Final = 7  # neighbours on either side that a sample is predicted from
NEAR: Final = 4  # neighbours on either side whose largest is the local signal
MOST_FILLED: Final = 0.8  # of the field of view, for a prediction to be of use
SNR: Final = 1e3  # signal by noise power that the predictor is made for: less leaks, or less noise comes in
FAR: Final = 16  # neighbours on either side that a suspect is predicted from, fewer beside an end and more behind
FAR_SNR: Final = 1e5  # so that nothing of the peak of k-space, a thousand times the noise, leaks into its slopes
LADDER: Final = (1e0, 1e1, 1e2, 1e3, 1e4, FAR_SNR)  # signal by noise power of predictions at the ends of a readout
SURE: Final = 3.5  # standard deviations of that prediction's noise that a spike must stand above it, too
LOUD: Final = 5.5  # noise standard deviations; in a thousand million samples of noise none is so large
ODD: Final = 4.8  # standard deviations of what a prediction misses that a spike stands above it
LEAK: Final = 0.1  # of the local signal, which the prediction may miss in an oversampled readout
UNPREDICTED: Final = 5.0  # times the local signal, where nothing can be predicted
QUIET: Final = 3.0  # noise standard deviations: where all neighbours are below, they are taken for noise
UNPREDICTED_QUIET: Final = 6.0  # times the root mean square of quiet neighbours
BLOCK: Final = 65536  # numbers that are looked at together, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """Linear predictions of a sample from its neighbours; empty where nothing can be predicted."""

    near: NDArray[np.float32]  # (REACH,) weights of the two neighbours at distance 1, 2, …, for every sample
    far: NDArray[np.float32]  # (rung of LADDER, sample, sample) inverse covariance of a window, by the noise's power

    def __bool__(self) -> bool:
        return bool(len(self.near))


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Where spikes are, all arrays (spike,)."""

    readout: NDArray[np.intp]
    coil: NDArray[np.intp]
    sample: NDArray[np.intp]
    excess: NDArray[np.float32]  # distance from what was expected, in standard deviations of the coil's noise
    expected: NDArray[np.complex64]  # from its neighbours

    def __len__(self) -> int:
        return len(self.sample)


def predictor(filled: float) -> Predictor:
    """Make the weights by which samples are predicted best.

    `filled` is the fraction of the readout's field of view that can hold signal: 1/2 with twofold oversampling. White
    signal over that fraction has the covariance sinc, and the weights are those of Wiener's problem with all other
    samples of a window known. Without oversampling neighbours tell nothing, and there are no weights.
    """
    if filled > MOST_FILLED:
        return Predictor(np.zeros(0, np.float32), np.zeros((0, 0, 0), np.float32))
    row = _inverse(filled, REACH, SNR)[REACH]
    far = np.stack([_inverse(filled, FAR, snr) for snr in LADDER])
    return Predictor((-row[REACH + 1 :] / row[REACH]).astype(np.float32), far)


def _inverse(filled: float, reach: int, snr: float) -> NDArray[np.float32]:
    """Inverse covariance (sample, sample) of signal and noise in a window."""
    distance = np.arange(-reach, reach + 1)
    covariance = snr * np.sinc(filled * (distance[:, None] - distance)) + np.eye(len(distance))
    return np.linalg.inv(covariance).astype(np.float32)


def find_spikes(samples: NDArray[np.complex64], foresees: Predictor) -> Spikes:
    """Find spikes in samples (readout, coil, sample), which must be finite.

    A spike is larger than any noise, and differs from what its neighbours predict by more than the prediction's noise
    and what it may miss of the local signal; a longer prediction must say so, too. The noise is that of the readout
    itself: the median of what cannot be predicted, or of its outer quarter where nothing can. Of two spikes within one
    another's reach the stronger hides the weaker until it is mended. Readouts of 28 samples or fewer are too short.
    """
    if not samples.size or samples.shape[2] <= 4 * REACH:
        return _none()
    rows = np.ascontiguousarray(samples).view(np.float32).reshape(-1, 2 * samples.shape[2])
    every = max(1, BLOCK // rows.shape[1])
    blocks = [_suspects(rows[first : first + every], foresees.near) for first in range(0, len(rows), every)]
    level = np.concatenate([levels for levels, _ in blocks])
    found = np.concatenate([which + number * every * samples.shape[2] for number, (_, which) in enumerate(blocks)])
    return _judged(samples, foresees, level, found) if len(found) else _none()


def mend(samples: NDArray[np.complex64], spikes: Spikes) -> NDArray[np.complex64]:
    """Copy samples (readout, coil, sample), with what was expected in place of each spike."""
    mended = samples.copy()
    mended[spikes.readout, spikes.coil, spikes.sample] = spikes.expected
    return mended


def _suspects(parts: NDArray[np.float32], weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Noise E|n|^2 (row,) of parts (row, 2 x sample); samples (flat index) that are too large and too odd for it."""
    odd = _power(_unpredicted(parts, weights)) if len(weights) else _power(parts)
    level = _noise(odd, parts, weights)
    least = level * np.float32(ODD**2 * _gain(weights) if len(weights) else LOUD**2)
    rows = np.flatnonzero(odd.max(axis=1) > least)
    if not len(rows):
        return level, rows
    power = _power(parts[rows]) if len(weights) else odd[rows]
    stands = odd[rows] > least[rows, None] if len(weights) else _alone(power)
    row, place = np.nonzero((power > np.float32(LOUD**2) * level[rows, None]) & stands)
    return level, rows[row] * odd.shape[1] + place


def _alone(power: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which samples (row, sample) stand above both neighbours as every spike that `_judged` accepts does."""
    alone = np.ones(power.shape, np.bool_)
    around = np.maximum(power[:, :-2], power[:, 2:])
    np.greater(power[:, 1:-1], np.float32((LOUD / QUIET) ** 2) * around, out=alone[:, 1:-1])
    return alone


def _power(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """|x|^2 (row, sample) from real and imaginary parts side by side."""
    squares = np.square(parts)
    return squares[:, ::2] + squares[:, 1::2]


def _gain(weights: NDArray[np.float32]) -> float:
    """Noise power of a sample less its prediction, by that of a sample."""
    return 1 + 2 * float(np.sum(weights**2))


def _unpredicted(parts: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the weights do not predict of parts (row, 2 x sample); the ends of a row as they are.

    Rows are worked on as one long one: what is wrong then at their ends, where they touch, is put right.
    """
    flat, end = parts.reshape(-1), 2 * REACH
    pairs = np.empty((REACH, len(flat) - 2 * end), np.float32)
    for row, step in enumerate(range(2, end + 2, 2)):
        np.add(flat[end - step : len(flat) - end - step], flat[end + step : len(flat) - end + step], out=pairs[row])
    rest = parts.copy()
    rest.reshape(-1)[end:-end] -= weights @ pairs
    rest[:, :end], rest[:, -end:] = parts[:, :end], parts[:, -end:]
    return rest


def _noise(odd: NDArray[np.float32], parts: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Noise E|n|^2 (row,) from what is unpredicted (row, sample) of parts; infinite where there is nothing.

    Signal in it makes it too large, never too small, so that it costs sensitivity and no false alarm.
    """
    edge = max(1, odd.shape[1] // 8)
    if not parts.all() and not (power := _power(parts)).all():
        ordered = np.sort(np.where(power > 0, odd, 0), axis=1)
        empty = np.count_nonzero(ordered == 0, axis=1)
        middle = np.minimum((empty + odd.shape[1]) // 2, odd.shape[1] - 1)
        level = np.take_along_axis(ordered, middle[:, None], 1)[:, 0]
        level[level == 0] = np.inf
    elif len(weights):
        level = _median(odd[:, REACH:-REACH:2])
    else:
        level = _median(np.concatenate([odd[:, :edge], odd[:, -edge:]], axis=1))
    scaled: NDArray[np.float32] = (level / np.float32(np.log(2) * _gain(weights))).astype(np.float32, copy=False)
    return scaled


def _median(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median (row,) of values (row, value); short rows are sorted in a tenth of the time that np.median takes."""
    ordered, count = np.sort(values, axis=1), values.shape[1]
    middle: NDArray[np.float32] = (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / np.float32(2)
    return middle


def _neighbours(
    samples: NDArray[np.complex64], row: NDArray[np.intp], place: NDArray[np.intp], reach: int
) -> NDArray[np.complex64]:
    """Neighbours (2 x reach, found), left and right by turns, nearest first; beyond an end those of the other side."""
    length = samples.shape[2]
    steps = np.array([step for d in range(1, reach + 1) for step in (-d, d)])[:, None]
    there = place + steps
    there = np.where((there >= 0) & (there < length), there, place - steps)
    return samples.reshape(-1)[row * length + there]


def _judged(
    samples: NDArray[np.complex64], foresees: Predictor, level: NDArray[np.float32], found: NDArray[np.intp]
) -> Spikes:
    """Tell spikes among the samples found (flat index) from signal: they are more than a prediction may miss."""
    row, place = np.divmod(found, samples.shape[2])
    sides = _neighbours(samples, row, place, REACH)
    sizes = np.abs(sides)
    local, deviation = sizes[: 2 * NEAR].max(axis=0), np.sqrt(level[row])
    values, expected = samples.reshape(-1)[found], (sides[0] + sides[1]) / 2
    distance = np.abs(values)
    quiet = np.sqrt(np.mean(np.square(sizes), axis=0))
    missed = np.where(local > QUIET * deviation, UNPREDICTED * local, UNPREDICTED_QUIET * quiet)
    height = distance
    if foresees:
        rest, least, scale = _unforeseen(samples, foresees, found, deviation)
        least = np.maximum(LEAK * local, least)
        better = np.isfinite(rest) & (_inner(place, samples.shape[2]) | (np.abs(rest) * missed > distance * least))
        expected = np.where(better, values - rest, expected)
        missed = np.where(better, least, missed)
        distance = np.where(better, np.abs(rest), distance)
        height = distance * scale
    hit = np.flatnonzero(distance > missed)
    hit = hit[_highest(row[hit], place[hit], height[hit], samples.shape[2])]
    readout, coil = np.divmod(row[hit], samples.shape[1])
    excess = distance[hit] / deviation[hit]
    return Spikes(readout, coil, place[hit], excess.astype(np.float32), expected[hit].astype(np.complex64))


def _unforeseen(
    samples: NDArray[np.complex64], foresees: Predictor, found: NDArray[np.intp], deviation: NDArray[np.float32]
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32]]:
    """What is not predicted of the samples found (flat index), how large it must be, and what to compare it by.

    NaN where nothing is known: a readout shorter than a window, or zeros nearby. Zero where the longer prediction does
    not find odd what the shorter one does; the ends are the longer one's alone.
    """
    row, place = np.divmod(found, samples.shape[2])
    sides = _neighbours(samples, row, place, REACH)
    inner = _inner(place, samples.shape[2]) & sides.all(axis=0)
    near = samples.reshape(-1)[found] - np.tensordot(foresees.near, sides[::2] + sides[1::2], 1)
    far, noise, scale = _left_of(samples, foresees.far, row, place, deviation)
    near[np.abs(far) <= SURE * noise * deviation] = 0
    least = np.where(inner, 0, ODD * noise * deviation).astype(np.float32)
    return np.where(inner, near, far).astype(np.complex64), least, scale


def _left_of(
    samples: NDArray[np.complex64],
    far: NDArray[np.float32],
    row: NDArray[np.intp],
    place: NDArray[np.intp],
    deviation: NDArray[np.float32],
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32]]:
    """What the window around each sample (found,) leaves of it, how much that misses, and by what windows compare.

    Of samples of one window, the spike is the one with the largest product of the first and the last. An end has
    neighbours on one side only, and a prediction made for more signal than the window has brings in too much noise.
    """
    length, width = samples.shape[2], far.shape[1]
    if length < width:
        return np.full(len(row), np.nan, np.complex64), np.ones(len(row), np.float32), np.ones(len(row), np.float32)
    begin, inner = np.clip(place - FAR, 0, length - width), _inner(place, length)
    here = place - begin
    window = samples.reshape(-1)[(row * length + begin)[:, None] + np.arange(width)]
    parts, suspect = window.view(np.float32), window[np.arange(len(row)), here]
    power = np.einsum("fp,fp->f", parts, parts) - np.square(np.abs(suspect))
    signal = np.where(inner, np.inf, power / np.square(deviation) / (width - 1))
    rung = np.minimum(np.searchsorted(LADDER, signal), len(LADDER) - 1)
    weights, own = far[rung, here], far[rung, here, here]
    left = np.where(window.all(axis=1), np.einsum("fw,fw->f", weights, window) / own, np.nan)
    noise = np.where(inner, np.sqrt(np.square(weights).sum(axis=1)) / own, own**-0.5)
    return left.astype(np.complex64), noise, np.sqrt(own)


def _inner(place: NDArray[np.intp], length: int) -> NDArray[np.bool_]:
    return (place >= REACH) & (place < length - REACH)


def _highest(
    row: NDArray[np.intp], place: NDArray[np.intp], distance: NDArray[np.float32], length: int
) -> NDArray[np.intp]:
    """Of spikes (spike,), in order, those with no higher one within the reach of what predicts them: it spoils that."""
    best = np.ones(len(row), np.bool_)
    reach = np.where(_inner(place, length), REACH, 2 * FAR)
    for step in range(1, min(2 * FAR, len(row) - 1) + 1):
        gap = np.where(row[step:] == row[:-step], place[step:] - place[:-step], length)
        later = distance[step:] > distance[:-step]
        best[:-step] &= ~((gap <= reach[:-step]) & later)
        best[step:] &= ~((gap <= reach[step:]) & ~later)
    return np.flatnonzero(best)


def _none() -> Spikes:
    nowhere = np.zeros(0, np.intp)
    return Spikes(nowhere, nowhere, nowhere, np.zeros(0, np.float32), np.zeros(0, np.complex64))

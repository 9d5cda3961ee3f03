"""Spikes in k-space: single samples that neither noise nor the signal of their neighbours can explain."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spikes", "find_spikes", "mend", "predictor"]

REACH: Final = 7  # neighbours on either side that a sample is predicted from
NEAR: Final = 4  # neighbours on either side whose largest is the local signal
MOST_FILLED: Final = 0.8  # of the field of view, for a prediction to be of use
SNR: Final = 1e3  # signal by noise power that the predictor is made for: less leaks, or less noise comes in
LOUD: Final = 5.5  # noise standard deviations; in a thousand million samples of noise none is so large
ODD: Final = 4.6  # standard deviations of the prediction's own noise that a spike stands above it
LEAK: Final = 0.1  # of the local signal, which the prediction may miss in an oversampled readout
UNPREDICTED: Final = 5.0  # times the local signal, where nothing can be predicted


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


def predictor(filled: float) -> NDArray[np.float32]:
    """Weights (REACH,) of the two neighbours at distance 1, 2, … from which a sample is predicted best.

    `filled` is the fraction of the readout's field of view that can hold signal: 1/2 with twofold oversampling. White
    signal over that fraction has the covariance sinc, and the weights are those of Wiener's one-step problem with both
    sides known. Without oversampling neighbours tell nothing, and there are no weights (0,).
    """
    if filled > MOST_FILLED:
        return np.zeros(0, np.float32)
    distance = np.arange(-REACH, REACH + 1)
    covariance = SNR * np.sinc(filled * (distance[:, None] - distance)) + np.eye(len(distance))
    row = np.linalg.inv(covariance)[REACH]
    return (-row[REACH + 1 :] / row[REACH]).astype(np.float32)


def find_spikes(samples: NDArray[np.complex64], weights: NDArray[np.float32]) -> Spikes:
    """Find spikes in samples (readout, coil, sample), which must be finite.

    A spike is larger than any noise, and differs from what its neighbours predict by more than the prediction's noise
    and what it may miss of the local signal. The noise is that of the readout itself: the median of what cannot be
    predicted, or of its outer quarter where nothing can. Of two spikes within one another's reach the stronger hides
    the weaker until it is mended.
    """
    parts = np.ascontiguousarray(samples).view(np.float32)
    power = _power(parts)
    weights = weights if samples.shape[2] > 4 * REACH else weights[:0]
    odd = _power(_unpredicted(parts, weights)) if len(weights) else power
    level = _noise(odd, weights)
    level = np.where(level > 0, level, np.float32(np.inf))[..., None]
    noisier = ODD**2 * _gain(weights) if len(weights) else LOUD**2
    found = np.flatnonzero((power > np.float32(LOUD**2) * level) & (odd > np.float32(noisier) * level))
    return _judged(samples, weights, level.ravel(), found) if len(found) else _none()


def mend(samples: NDArray[np.complex64], spikes: Spikes) -> NDArray[np.complex64]:
    """Copy samples (readout, coil, sample), with what was expected in place of each spike."""
    mended = samples.copy()
    mended[spikes.readout, spikes.coil, spikes.sample] = spikes.expected
    return mended


def _power(parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """|x|^2 (readout, coil, sample) from real and imaginary parts side by side."""
    squares = np.square(parts)
    return squares[..., ::2] + squares[..., 1::2]


def _gain(weights: NDArray[np.float32]) -> float:
    """Noise power of a sample less its prediction, by that of a sample."""
    return 1 + 2 * float(np.sum(weights**2))


def _unpredicted(parts: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the weights do not predict of parts (readout, coil, 2 x sample); the ends of a readout as they are."""
    rest = parts.copy()
    length = parts.shape[2]
    inner = rest[..., 2 * REACH : length - 2 * REACH]
    pair = np.empty_like(inner)
    for distance, weight in enumerate(weights, 1):
        left = parts[..., 2 * (REACH - distance) : length - 2 * (REACH + distance)]
        right = parts[..., 2 * (REACH + distance) : length - 2 * (REACH - distance)]
        np.add(left, right, out=pair)
        pair *= weight
        inner -= pair
    return rest


def _noise(odd: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Noise E|n|^2 (readout, coil) from what is unpredicted (readout, coil, sample).

    Signal in it makes it too large, never too small, so that it costs sensitivity and no false alarm.
    """
    length = odd.shape[2]
    edge = max(1, length // 8)
    seen = odd[..., REACH:-REACH:2] if len(weights) else np.concatenate([odd[..., :edge], odd[..., -edge:]], axis=2)
    level: NDArray[np.float32] = np.median(seen, axis=2)
    if not level.all():
        level = np.where(level > 0, level, np.median(odd, axis=2))
    return level / np.float32(np.log(2) * _gain(weights))


def _judged(
    samples: NDArray[np.complex64], weights: NDArray[np.float32], level: NDArray[np.float32], found: NDArray[np.intp]
) -> Spikes:
    """Tell spikes among the samples found (flat index) from signal: they are more than a prediction may miss."""
    coils, length = samples.shape[1:]
    flat = samples.reshape(-1)
    row, place = np.divmod(found, length)
    sides = [flat[row * length + np.clip(place + step, 0, length - 1)] for d in range(1, REACH + 1) for step in (-d, d)]
    local = np.max(np.abs(sides[: 2 * NEAR]), axis=0)
    values, expected, missed = flat[found], (sides[0] + sides[1]) / 2, UNPREDICTED * local
    distance = np.abs(values)
    if len(weights):
        inner = (place >= REACH) & (place < length - REACH)
        predicted = np.tensordot(weights, np.asarray(sides[::2]) + np.asarray(sides[1::2]), 1)
        expected = np.where(inner, predicted, expected)
        missed = np.where(inner, LEAK * local, missed)
        distance = np.where(inner, np.abs(values - predicted), distance)
    hit = np.flatnonzero(distance > missed)
    hit = hit[_highest(row[hit], place[hit], distance[hit])]
    readout, coil = np.divmod(row[hit], coils)
    excess = distance[hit] / np.sqrt(level[row[hit]])
    return Spikes(readout, coil, place[hit], excess.astype(np.float32), expected[hit].astype(np.complex64))


def _highest(row: NDArray[np.intp], place: NDArray[np.intp], distance: NDArray[np.float32]) -> NDArray[np.intp]:
    """Of spikes (spike,) within one another's reach only the highest: it spoils the prediction of the others."""
    near = (row[:, None] == row) & (np.abs(place[:, None] - place) <= REACH)
    order = (distance > distance[:, None]) | ((distance == distance[:, None]) & (place < place[:, None]))
    return np.flatnonzero(~(near & order).any(axis=1))


def _none() -> Spikes:
    nowhere = np.zeros(0, np.intp)
    return Spikes(nowhere, nowhere, nowhere, np.zeros(0, np.float32), np.zeros(0, np.complex64))

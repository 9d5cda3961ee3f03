"""Is this frame one that the network was made for? Its model card says for which ones; others get the linear image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.card import Range
from engines.linear.errors import LinearError
from engines.linear.masks import gapless, step_of
from engines.linear.partial_fourier import missing_part

__all__ = ["Facts", "acceleration_of", "facts_of", "outside"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What can be told of a frame before the network sees it; its contrast cannot."""

    acceleration: float
    coils: int
    matrix: tuple[int, int]
    snr: float  # median of the linear image inside the object, in units of the noise
    calibration_lines: int
    partial_fourier: bool


def acceleration_of(acquired: NDArray[np.bool_]) -> float:
    """R of a mask (line,): the step of its grid, calibration lines apart, or without one all lines by acquired ones."""
    if gapless(acquired):
        return 1.0
    return float(step_of(acquired) or len(acquired) / max(int(acquired.sum()), 1))


def facts_of(
    linear: NDArray[np.complex64],
    inside: NDArray[np.bool_],
    acquired: NDArray[np.bool_],
    coils: int,
    calibration_lines: int,
) -> Facts:
    """Facts of a frame from its linear image (y, x) in units of the noise, the object (y, x), and its mask (line,)."""
    object_ = np.abs(linear[::2, ::2][inside[::2, ::2]])  # a quarter of it, which takes a quarter of the time
    return Facts(
        acceleration=acceleration_of(acquired),
        coils=coils,
        matrix=(linear.shape[0], linear.shape[1]),
        snr=float(np.median(object_)) if len(object_) else 0.0,
        calibration_lines=calibration_lines,
        partial_fourier=_one_sided(acquired),
    )


def _one_sided(acquired: NDArray[np.bool_]) -> bool:
    """Whether one side of k-space was left out; random lines may miss a few at one end by chance."""
    try:
        missing = missing_part(acquired)
    except LinearError:
        return True
    return missing is not None and missing.stop - missing.start > len(acquired) // 16


def outside(facts: Facts, made_for: Range) -> tuple[str, ...]:
    """Why this frame is none that the network was made for, one reason each; nothing where it is one.

    An SNR above the range is too: an image may be in other units than its noise.
    """
    spans = (
        ("R", (facts.acceleration,), made_for.acceleration),
        ("coils", (facts.coils,), made_for.coils),
        ("matrix", facts.matrix, made_for.matrix),
        ("SNR", (facts.snr,), made_for.snr),
        ("calibration lines", (facts.calibration_lines,), made_for.calibration_lines),
    )
    wrong = [
        f"{name} {' x '.join(f'{value:.3g}' for value in values)}, made for {low:g} to {high:g}"
        for name, values, (low, high) in spans
        if not all(low <= value <= high for value in values)
    ]
    if facts.partial_fourier:
        wrong.append("partial Fourier, made for whole k-space")
    return tuple(wrong)

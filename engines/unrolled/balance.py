"""Between a network's image and what the acquired lines say of it: the lines win where they object by more than noise.

With z the network's image and rho = P (b + lambda z) the nearest consistent one, rho - z is the noise of P b where z is
right. Its variance is the diagonal of P N P, known with the inverse. Where the objection is stronger the network was
wrong, and a Wiener gain takes the excess. On data like its training this changes nothing; on others it keeps the
network from ignoring the lines. If a share of that noise is to be kept, the gain is that share where there is nothing
else: an image with some grain, and with details of the lines that a network smooths away.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

__all__ = ["KEPT", "WINDOW", "balanced", "rough_noise", "windowed"]

WINDOW: Final = 9  # pixels that the power is a mean of
KEPT: Final = 0.15  # share of the noise of P b that an image keeps; see README.md for what it gives and costs


def windowed(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of a power (row, column) over WINDOW x WINDOW pixels, zero beyond the edge."""
    mean: NDArray[np.float32] = uniform_filter(power, WINDOW, mode="constant")
    return mean


def rough_noise(scan: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The noise of `balanced` where no inverse tells it: share / (share + lambda)^2, the mean if all N were alike.

    `scan` (2,) is that of strength.py. Measured: 0.5 to 0.8 of it with random lines, 0.9 to 1.7 with equispaced ones.
    """
    root, share = scan.tolist()
    return windowed(inside * np.float32(share / (share + root * root) ** 2))


def balanced(
    proposed: NDArray[np.float32],
    consistent: NDArray[np.float32],
    inside: NDArray[np.bool_],
    noise: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Image (2, row, column) between the network's and the consistent one, both zero outside the object.

    `noise` (row, column) is the windowed variance of P b. The gain is 1 - noise / power, at least 0: Wiener's filter
    with the power of the neighbourhood; Lee, IEEE Trans Pattern Anal Mach Intell 1980; 2:165.
    """
    objection = (consistent - proposed) * inside
    power = windowed((objection**2).sum(0))
    gain = 1 - noise / np.maximum(power, np.float32(1e-6))
    return (proposed * inside + gain.clip(min=0) * objection).astype(np.float32)

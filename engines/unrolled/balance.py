"""Between a network's image and what the acquired lines say of it: the lines win where they object by more than noise.

With z the network's image and rho = P (b + lambda z) the nearest consistent one, rho - z is noise of the lines where z
is right: at most about share / (share + lambda)^2 a pixel, as if all eigenvalues of N were their mean, which is the
share of the lines used (measured: 0.6 to 1.1 of that at R = 2 and 4, 0.3 to 0.5 at R = 8). Where it is stronger the
network was wrong, and a Wiener gain takes the excess. On data like its training this changes nothing; on others it
keeps the network from ignoring the lines.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

__all__ = ["WINDOW", "balanced", "noise_of"]

WINDOW: Final = 9  # pixels that the power is a mean of


def noise_of(root: float, share: float) -> float:
    """Power of rho - z a pixel, in sigma^2, that noise explains: of the root of lambda and the share of the lines."""
    return share / (share + root * root) ** 2


def balanced(
    proposed: NDArray[np.float32],
    consistent: NDArray[np.float32],
    inside: NDArray[np.bool_],
    scan: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Image (2, row, column) between the network's and the consistent one, both zero outside the object.

    `scan` (2,) is that of strength.py. The gain is 1 - noise / power, at least 0: Wiener's filter with the power of the
    neighbourhood; Lee, IEEE Trans Pattern Anal Mach Intell 1980; 2:165.
    """
    objection = (consistent - proposed) * inside
    power = uniform_filter((objection**2).sum(0), WINDOW, mode="constant")
    share = uniform_filter(inside.astype(np.float32), WINDOW, mode="constant")
    gain = 1 - noise_of(*scan.tolist()) * share / np.maximum(power, np.float32(1e-6))
    return (proposed * inside + gain.clip(min=0) * objection).astype(np.float32)

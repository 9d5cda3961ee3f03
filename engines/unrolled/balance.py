"""Between a network's image and what the acquired lines say of it: the lines win where they object by more than noise.

With z the network's image and rho = P (b + lambda z) the nearest consistent one, rho - z is noise of the lines where z
is right: about sigma^2 a pixel, whatever R. Where it is stronger than that, the network was wrong: a Wiener gain takes
the excess. On data like its training this changes nothing; on others it keeps the network from ignoring the lines.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

__all__ = ["NOISE", "WINDOW", "balanced"]

NOISE: Final = 1.5  # power of rho - z, in sigma^2 a pixel, that noise explains
WINDOW: Final = 9  # pixels that the power is a mean of


def balanced(
    proposed: NDArray[np.float32], consistent: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Image (2, row, column) between the network's and the consistent one, both zero outside the object.

    The gain is 1 - NOISE / power, at least 0: Wiener's filter with the power of the neighbourhood; Lee, IEEE Trans
    Pattern Anal Mach Intell 1980; 2:165.
    """
    objection = (consistent - proposed) * inside
    power = uniform_filter((objection**2).sum(0), WINDOW, mode="constant")
    share = uniform_filter(inside.astype(np.float32), WINDOW, mode="constant")
    gain = 1 - NOISE * share / np.maximum(power, np.float32(1e-6))
    return (proposed * inside + gain.clip(min=0) * objection).astype(np.float32)

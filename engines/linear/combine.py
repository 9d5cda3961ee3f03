"""Many coil images into one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError

__all__ = ["adaptive", "rss"]


def rss(images: NDArray[Any]) -> NDArray[np.float32]:
    """Root sum of squares (...) of coil images (coil, ...); Roemer et al., Magn Reson Med 1990; 16:192."""
    power = np.zeros(images.shape[1:], np.float32)
    for image in images:
        power += image.real**2
        power += image.imag**2
    return np.sqrt(power)


def adaptive(images: NDArray[Any], maps: NDArray[Any]) -> NDArray[np.complex64]:
    """Matched-filter combination (...) of whitened coil images (coil, ...) with sensitivity maps of the same shape.

    Best SNR a linear combination can have, phase kept; zero where the maps are zero. Roemer et al., Magn Reson Med
    1990; 16:192; with maps from the data themselves: Walsh et al., Magn Reson Med 2000; 43:682.
    """
    if images.shape != maps.shape:
        raise LinearError(f"adaptive combination: got images {images.shape} and maps {maps.shape}, wanted equal shapes")
    power = rss(maps) ** 2
    matched = np.zeros(images.shape[1:], np.complex64)
    for image, sensitivity in zip(images, maps, strict=True):
        matched += image * sensitivity.conj()
    return np.divide(matched, power, out=matched, where=power > 0)

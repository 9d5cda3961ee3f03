"""From the encoded matrix and field of view to the ones the scan asks for."""

import numpy as np
from numpy.typing import NDArray

from engines.linear.fourier import centred_crop, to_image, to_kspace

__all__ = ["interpolate", "to_recon"]

Complex = NDArray[np.complex64]


def interpolate(image: Complex, axis: int, size: int) -> Complex:
    """Sinc-interpolate an axis to `size` pixels by zero padding (or cropping) its centred spectrum; intensity stays."""
    n = image.shape[axis]
    if size == n:
        return image
    shape = list(image.shape)
    shape[axis] = size
    padded = np.zeros(shape, np.complex64)
    kept = min(n, size)
    centred_crop(padded, axis, kept)[...] = centred_crop(to_kspace(image, axis), axis, kept)
    return to_image(padded, axis) * np.float32((size / n) ** 0.5)


def to_recon(image: Complex, axis: int, fov_ratio: float, size: int) -> Complex:
    """Crop an axis to `fov_ratio` of its field of view, then interpolate what is left to `size` pixels."""
    kept = max(1, round(image.shape[axis] * min(fov_ratio, 1.0)))
    return interpolate(centred_crop(image, axis, kept), axis, size)

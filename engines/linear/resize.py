"""From the encoded matrix and field of view to the ones the scan asks for."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["crop_centre", "interpolate", "to_recon"]

Complex = NDArray[np.complex64]


def crop_centre(data: NDArray[np.generic], axis: int, size: int) -> NDArray[np.generic]:
    """Keep `size` samples around index n // 2 of an axis, as a view; n where size is larger."""
    n = data.shape[axis]
    start = n // 2 - size // 2
    if size >= n:
        return data
    return data[(slice(None),) * (axis % data.ndim) + (slice(start, start + size),)]


def interpolate(image: Complex, axis: int, size: int) -> Complex:
    """Sinc-interpolate an axis to `size` pixels by zero padding (or cropping) its centred spectrum; intensity stays."""
    n = image.shape[axis]
    if size == n:
        return image
    spectrum = scipy.fft.fftshift(scipy.fft.fft(scipy.fft.ifftshift(image, axes=axis), axis=axis), axes=axis)
    shape = list(image.shape)
    shape[axis] = size
    padded = np.zeros(shape, np.complex64)
    kept = min(n, size)
    crop_centre(padded, axis, kept)[...] = crop_centre(spectrum, axis, kept)
    back = scipy.fft.ifft(scipy.fft.ifftshift(padded, axes=axis), axis=axis)
    return np.asarray(scipy.fft.fftshift(back, axes=axis) * (size / n), np.complex64)


def to_recon(image: Complex, axis: int, fov_ratio: float, size: int) -> Complex:
    """Crop an axis to `fov_ratio` of its field of view, then interpolate what is left to `size` pixels."""
    kept = round(image.shape[axis] * min(fov_ratio, 1.0))
    return interpolate(np.asarray(crop_centre(image, axis, kept), np.complex64), axis, size)

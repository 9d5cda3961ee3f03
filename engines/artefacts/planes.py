"""What the network is shown of a magnitude image: brightness, dim things, odd columns, and the spectrum."""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from engines.artefacts.names import BORDER

__all__ = ["padded", "planes_of"]

PERCENTILE: Final = 99.0  # of an image, that is 1 then
BRIGHT: Final = 2.5
FAINT: Final = 200.0  # the second plane is half bright where the image has the root of 1 / FAINT
NEAR: Final = (2, 3)  # columns aside that a column is compared with
ODD: Final = 0.1  # largest difference that counts, so that anatomy averages out
AROUND: Final = 9  # points of the spectrum that a point is compared with


def planes_of(pixels: NDArray[np.generic]) -> dict[str, NDArray[np.float32]]:
    """Tensors `image` (1, 3, y, x) and `spectrum` (1, 2, y/2, x/2) of magnitudes (y, x), padded to multiples of BORDER.

    The image is shown as it is, as its logarithm, in which ghosts in the air are not small, and by how much each
    column differs from those beside it. The spectrum is the logarithm of that of the magnitude, half of it (the other
    half is alike) pooled by its largest value along y, as it is and against its neighbourhood: single samples of
    k-space are lines all over the image, and a point there.
    """
    image = padded(pixels).astype(np.float32)
    bright = float(np.percentile(image, PERCENTILE))
    image /= np.float32(bright or 1.0)
    np.minimum(image, BRIGHT, out=image)
    dim = np.log1p(FAINT * image) / np.float32(np.log1p(FAINT))
    return {"image": np.stack([image, dim, _odd_columns(dim)])[None], "spectrum": _spectrum(image)[None]}


def _odd_columns(dim: NDArray[np.float32]) -> NDArray[np.float32]:
    beside = sum((np.roll(dim, shift, 1) for near in NEAR for shift in (near, -near)), np.zeros_like(dim))
    odd = np.clip(dim - beside / np.float32(2 * len(NEAR)), -ODD, ODD).mean(0) / np.float32(ODD)
    return np.broadcast_to(4 * odd, dim.shape)


def _spectrum(image: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = image.shape
    half = np.abs(scipy.fft.rfft2(image, norm="ortho")[:, : columns // 2])
    half = np.fft.fftshift(half, 0).reshape(rows // 2, 2, columns // 2).max(1)
    level = np.log(half + np.float32(1e-3))
    against = level - uniform_filter(level, AROUND, mode="nearest")
    return np.stack([_standard(level), _standard(against)])


def _standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-3), np.float32)


def padded(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels (y, x) with zeros below and to the right, both sides multiples of BORDER."""
    rows, columns = pixels.shape
    return np.pad(pixels, ((0, -rows % BORDER), (0, -columns % BORDER)))

"""What the network is shown of a complex image: what is seen, what ought not to be there, and its spectrum."""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from engines.artefacts.names import BORDER

__all__ = ["IMAGE", "SPECTRUM", "padded", "planes_of"]

Complex = NDArray[np.complex64]
Floats = NDArray[np.float32]
IMAGE: Final = 4  # planes of the image
SPECTRUM: Final = 4  # planes of its spectrum
PERCENTILE: Final = 99.0  # of an image, that is 1 then
BRIGHT: Final = 2.5
FAINT: Final = 200.0  # the second plane is half bright where the image has the root of 1 / FAINT
NEAR: Final = (2, 3)  # columns aside that a column is compared with
ODD: Final = 0.1  # largest difference that counts, so that anatomy averages out
AROUND: Final = 9  # points of the spectrum that a point is compared with
SMOOTH: Final = 12  # lines and columns either way of the centre that tell the phase
TOGETHER: Final = 3  # points of the pooled spectrum that are asked together whether they are symmetric
TINY: Final = 1e-12


def planes_of(pixels: NDArray[np.generic]) -> dict[str, Floats]:
    """Tensors `image` (1, IMAGE, y, x) and `spectrum` (1, SPECTRUM, y/2, x/2) of a complex image (y, x).

    Both are padded to multiples of BORDER. The image is shown as its magnitude, as the logarithm of that, in which
    ghosts in the air are not small, by how much each column differs from those beside it, and what is imaginary in it
    without the phase that the centre of its own k-space tells, in units of its noise. The spectrum is the logarithm of
    its k-space, as it is and against its neighbourhood, pooled by its largest: a spark is a point there; and how far
    opposite points agree, as a complex number: of a head that lay still they do (Noll et al., IEEE Trans Med Imaging
    1991; 10:154), and whoever moved between them turns it.
    """
    image = padded(pixels).astype(np.complex64)
    seen = np.abs(image)
    bright = float(np.percentile(seen, PERCENTILE)) or 1.0
    image /= np.float32(bright)
    seen /= np.float32(bright)
    np.minimum(seen, BRIGHT, out=seen)
    dim = np.asarray(np.log1p(FAINT * seen) / np.float32(np.log1p(FAINT)), np.float32)
    spectrum = scipy.fft.fft2(image, norm="ortho")
    real = image * _against_phase(spectrum)
    planes = [seen, dim, _odd_columns(dim), _imaginary(real)]
    waves = [*_levels(spectrum), *_symmetry(real)]
    return {"image": np.stack(planes)[None], "spectrum": np.stack(waves)[None]}


def _odd_columns(dim: Floats) -> Floats:
    beside = sum((np.roll(dim, shift, 1) for near in NEAR for shift in (near, -near)), np.zeros_like(dim))
    odd = np.clip(dim - beside / np.float32(2 * len(NEAR)), -ODD, ODD).mean(0) / np.float32(ODD)
    return np.broadcast_to(4 * odd, dim.shape)


def _against_phase(spectrum: Complex) -> Complex:
    """What turns an image (y, x) of this k-space back by its smooth phase: of size 1, or 0 where it has none."""
    rows, columns = spectrum.shape
    near = np.abs(scipy.fft.fftfreq(columns, 1 / columns)) < SMOOTH
    low = scipy.fft.ifft(spectrum[:, near] * _window(rows)[:, None], axis=0)
    wide = np.zeros_like(spectrum)
    wide[:, near] = low * _window(columns)[near]
    smooth = scipy.fft.ifft(wide, axis=1, overwrite_x=True)
    return np.asarray(smooth.conj() / np.maximum(np.abs(smooth), TINY), np.complex64)


def _window(size: int) -> Floats:
    """Cosine squared about k = 0, which is first, and zero from SMOOTH on."""
    steps = scipy.fft.fftfreq(size, 1 / size)
    return np.where(np.abs(steps) < SMOOTH, np.cos(np.pi * steps / 2 / SMOOTH) ** 2, 0).astype(np.float32)


def _imaginary(real: Complex) -> Floats:
    """The imaginary part in units of its noise, the large ones made smaller; the noise is that of the middle pixel."""
    size = np.abs(real.imag)
    some = size[size > 0]
    noise = float(np.median(some)) if len(some) else 1.0
    return np.asarray(np.arcsinh(real.imag / np.float32(2 * noise)) / 2, np.float32)


def _levels(spectrum: Complex) -> tuple[Floats, Floats]:
    level = np.log(_pooled(np.abs(spectrum), np.maximum) + np.float32(1e-3))
    against = level - uniform_filter(level, AROUND, mode="nearest")
    return _standard(level), _standard(against)


def _symmetry(real: Complex) -> tuple[Floats, Floats]:
    """Real and imaginary part of what opposite points of k-space have in common: 1 where an image is real."""
    spectrum = scipy.fft.fft2(real, norm="ortho")
    product = spectrum * np.roll(spectrum[::-1, ::-1], 1, (0, 1))
    parts = [_pooled(part, np.add) for part in (product.real, product.imag, np.abs(product))]
    down, across, size = (uniform_filter(part, TOGETHER, mode="nearest") for part in parts)
    size = np.maximum(size, np.float32(TINY))
    return down / size, across / size


def _pooled(plane: Floats, joined: np.ufunc) -> Floats:
    """Two by two points of k-space as one, and k = 0 in the middle."""
    rows = joined(plane[::2], plane[1::2])
    return np.asarray(scipy.fft.fftshift(joined(rows[:, ::2], rows[:, 1::2])), np.float32)


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-3), np.float32)


def padded(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Pixels (y, x) with zeros below and to the right, both sides multiples of BORDER."""
    rows, columns = pixels.shape
    return np.pad(pixels, ((0, -rows % BORDER), (0, -columns % BORDER)))

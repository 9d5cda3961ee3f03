"""Motion within one frame: whether the two halves of its k-space, taken one after the other, show the same object."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2

from engines.quality.motion import candidates

__all__ = ["Halves", "halves"]

Complex = NDArray[np.complex64]

LEAST: Final = 8  # lines on either side of the centre, without a gap, that tell the image's phase
MOST: Final = 12  # of them that are used
BANDS: Final = 4  # of the lines beyond them, each judged by itself: whoever moves late is only in the last
REACHED: Final = 0.9  # of k-space on either side that must have been acquired
FURTHEST: Final = 6.0  # pixels either way that a displacement is looked for
INNER: Final = 0.75  # of k-space along the readout: beyond it is noise
CLEAR: Final = 10.0  # standard deviations of what chance makes of a band's largest displacement: it shows an object
FLOOR: Final = 1e-30


@dataclass(frozen=True, slots=True)
class Halves:
    """How the two halves of a frame's k-space agree."""

    smooth: float  # 1 where the lines in the centre are as symmetric as a smooth phase makes them
    mismatch: float  # 0 where both halves show the object in one place, 1 and more where they do not
    along_phase: float  # pixels from where the lower half shows it to where the upper half does
    along_read: float


def halves(image: Complex, acquired: NDArray[np.bool_]) -> Halves | None:
    """Compare the halves of an image's (y, x) k-space; None where the lines acquired (line,) do not allow it.

    Without the phase that its central lines tell, an image is real, so that its k-space is symmetric (Noll et al., IEEE
    Trans Med Imaging 1991; 10:154). Whoever lies elsewhere in one half turns the product of a sample and its mirror
    image by the phase of his displacement, whose correlation is then highest away from zero. The mismatch is what the
    correlation at zero lacks of its highest, in the worst band of lines that is clear of noise.
    """
    width = _central(acquired)
    lines = np.flatnonzero(acquired) - len(acquired) // 2
    if width < LEAST or min(-lines[0], lines[-1]) < REACHED * (len(acquired) // 2):
        return None
    spectrum = _spectrum(image)
    mirrored, rows, columns = _mirrored(image, spectrum, width / 2)
    middle = mirrored[(rows > width / 2) & (rows <= width)]
    smooth = float(middle.sum().real / max(float(np.abs(middle).sum()), FLOOR))
    mirrored, rows, columns = _mirrored(image, spectrum, width)
    mirrored /= np.sqrt(np.maximum(np.abs(mirrored), FLOOR))
    edges = np.round(np.linspace(width, rows[-1], BANDS + 1))
    judged = []
    for first, last in pairwise(edges.tolist()):
        band = (rows > first) & (rows <= last)
        found = _displaced(mirrored[band], rows[band] / len(image), columns / image.shape[1])
        judged.extend([found] if found else [])
    return Halves(smooth, *max(judged, default=(0.0, 0.0, 0.0)))


def _central(acquired: NDArray[np.bool_]) -> int:
    """Lines without a gap on either side of the centre, at most MOST."""
    centre = len(acquired) // 2
    near = acquired[centre : centre + MOST] & acquired[centre : centre - MOST : -1]
    return int(np.argmin(near)) if not near.all() else len(near)


def _spectrum(image: Complex) -> Complex:
    spectrum: Complex = np.fft.fftshift(fft2(np.fft.ifftshift(image)))
    return spectrum


def _mirrored(image: Complex, spectrum: Complex, width: float) -> tuple[Complex, NDArray[np.intp], NDArray[np.intp]]:
    """Products of samples and their mirror images (row, column), the phase of the central lines taken off.

    And how far each row and each column is from the centre.
    """
    low = np.fft.fftshift(ifft2(np.fft.ifftshift(spectrum * np.outer(*(_window(n, width) for n in image.shape)))))
    real = _spectrum(image * np.exp(-1j * np.angle(low)))
    count, across = (n // 2 for n in image.shape)
    rows, columns = np.arange(1, (image.shape[0] + 1) // 2), np.arange(-int(INNER * across), int(INNER * across) + 1)
    upper, lower = real[count + rows][:, across + columns], real[count - rows][:, across - columns]
    return upper * lower, rows, columns


def _window(count: int, width: float) -> NDArray[np.float32]:
    """Cosine squared about the middle of an axis, zero from `width` on."""
    steps = np.arange(count) - count // 2
    window = np.where(np.abs(steps) < width, np.cos(np.pi * steps / 2 / width) ** 2, 0)
    return window.astype(np.float32)


def _displaced(
    mirrored: Complex, down: NDArray[np.floating], right: NDArray[np.floating]
) -> tuple[float, float, float] | None:
    """Mismatch and displacement in pixels of a band (row, column); None where it shows no more than noise.

    Rows and columns in turns a pixel.
    """
    shifts = candidates(FURTHEST)
    along_phase = np.exp(2j * np.pi * np.outer(shifts, down)).astype(np.complex64)
    along_read = np.exp(2j * np.pi * np.outer(right, shifts)).astype(np.complex64)
    height = np.abs(along_phase @ mirrored @ along_read)
    highest = float(height.max())
    if highest <= CLEAR * float(np.linalg.norm(mirrored)):
        return None
    phase, read = np.unravel_index(int(np.argmax(height)), height.shape)
    return 1 - float(mirrored.sum().real) / highest, float(shifts[phase]), float(shifts[read])

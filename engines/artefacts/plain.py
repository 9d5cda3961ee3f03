"""Whether an image is too plain to be a head: what the network was never shown, and takes ripples at its edges for.

A phantom is even inside and sharp at its edges; tissue has grain everywhere, and an artefact adds to it. Of 650 images
of the validation subjects, clean and spoilt, 0.5 % are plain, of 650 of the test subjects 1.4 %, and none that is
blurred; all 12 of an ellipsoid phantom are, 3 real ones of water phantoms, and none of the MNI head or of 8 real ones.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, uniform_filter

__all__ = ["Plain", "plain"]

SIDE: Final = 128  # pixels that the longer side is shrunk to, or up to twice as many: grain has a size in a head
PERCENTILE: Final = 99.0  # of an image, that is 1 then
OBJECT: Final = 0.2  # mean of the pixels around one of the object, at least
AROUND, RIM, GRAIN = 9, 3, 3  # pixels: of that mean, that are left out at the rim, that noise is averaged over
FEWEST: Final = 100  # pixels of an object
FLAT: Final = 0.036  # change from pixel to pixel, by brightness, that half of a head's exceed
EDGES: Final = 0.84  # share of all changes (squared) that a tenth of a head's pixels do not hold


@dataclass(frozen=True, slots=True)
class Plain:
    """How even an object is."""

    change: float  # from pixel to pixel, by brightness: the median inside the object
    edges: float  # share of squared changes in the tenth of pixels that has most

    @property
    def too_plain(self) -> bool:
        """Whether hardly any head is like that."""
        return self.change < FLAT and self.edges > EDGES


def plain(pixels: NDArray[np.generic]) -> Plain | None:
    """Measure magnitudes (y, x); None where there is no object to speak of."""
    image = _shrunk(np.asarray(pixels, np.float32))
    image = image / np.float32(np.percentile(image, PERCENTILE) or 1.0)
    inside = binary_erosion(uniform_filter(image, AROUND) > OBJECT, iterations=RIM)
    if np.count_nonzero(inside) < FEWEST:
        return None
    down, across = np.gradient(np.log(np.maximum(uniform_filter(image, GRAIN), 1e-3)))
    changes = np.sort((np.square(down) + np.square(across))[inside])
    whole = float(changes.sum())
    strongest = float(changes[int(0.9 * len(changes)) :].sum())
    return Plain(float(np.sqrt(changes[len(changes) // 2])), strongest / whole if whole > 0 else 1.0)


def _shrunk(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of blocks, so that matrices are alike."""
    every = max(1, max(image.shape) // SIDE)
    rows, columns = (size // every for size in image.shape)
    blocks = image[: rows * every, : columns * every].reshape(rows, every, columns, every)
    return np.asarray(blocks.mean((1, 3)), np.float32)

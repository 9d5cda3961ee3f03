"""Whether an image is too plain to be a head: what the network was never shown, and takes ripples at its edges for.

A phantom is even inside and sharp at its edges; tissue has grain everywhere, and an artefact adds to it. Measured on
1,000 images of the validation and test subjects (clean and spoilt, half of each): 1.5 % are plain, none of a blurred
head; all 12 of an ellipsoid phantom are, and 3 real ones of water phantoms, none of the MNI head or of 7 real heads.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, uniform_filter

__all__ = ["Plain", "plain"]

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
    image = np.asarray(pixels, np.float32)
    image = image / np.float32(np.percentile(image, PERCENTILE) or 1.0)
    inside = binary_erosion(uniform_filter(image, AROUND) > OBJECT, iterations=RIM)
    if np.count_nonzero(inside) < FEWEST:
        return None
    down, across = np.gradient(np.log(np.maximum(uniform_filter(image, GRAIN), 1e-3)))
    changes = np.sort((np.square(down) + np.square(across))[inside])
    whole = float(changes.sum())
    strongest = float(changes[int(0.9 * len(changes)) :].sum())
    return Plain(float(np.sqrt(changes[len(changes) // 2])), strongest / whole if whole > 0 else 1.0)

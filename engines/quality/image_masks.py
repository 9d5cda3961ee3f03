"""Where an image shows the object and where it shows air, and what the air tells of the noise."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Masks", "grown", "masks_of", "otsu", "share_of", "shrunk", "smoothed"]

Mask = NDArray[np.bool_]
QUARTILE: Final = 0.758528  # the lower one of a Rayleigh distribution, in standard deviations of a real part
DARK: Final = 0.12  # of the bright end: dark tissue far from the coils is brighter
GHOST: Final = 0.3  # of what lies half a field of view away: no ghost is brighter, or it is taken for an object
RIM: Final = 4  # pixels at the rim of an object, dim because the air has a share in them
NOISY: Final = 2.5  # noise standard deviations: the mean of nine pixels of noise is 1.25 ± 0.22 of them
MARGIN: Final = 0.03  # of the image's smaller side that is kept between object and air: edges ring
ENOUGH: Final = 0.005  # of all pixels, and no fewer than FEWEST, for a figure to be told from air
FEWEST: Final = 64
FILLED: Final = 0.75  # of the air that must not be zero; whole numbers make some noise zero
ODD: Final = 4.0  # noise standard deviations; a patch of pixels beyond it is no noise


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """What each pixel belongs to, all masks (y, x)."""

    tissue: Mask  # what gives signal
    hull: Mask  # the object with its holes and bays
    air: Mask  # outside the hull, a margin away from it
    artefact: Mask  # patches of the air that are no noise
    noise: float | None  # standard deviation of one real part in what the reconstruction left of the air
    why: str  # why the air tells nothing else; "" where it does

    def enough(self, mask: Mask) -> bool:
        """Whether a mask has pixels enough to tell a mean from."""
        return int(np.count_nonzero(mask)) >= _fewest(mask)


def masks_of(pixels: NDArray[np.float32]) -> Masks:
    """Tell object from air in magnitudes (y, x), whatever the shading of the coils.

    The hull is what has tissue above, below, left and right of it, so that it fills holes and bays; the air begins a
    margin outside. What may be the ghost, at half the field of view along y, of something brighter is no object, unless
    the object is around or beside it. Artefact patches are what Mortamet et al. take out of the air (Magn Reson Med
    2009; 62:365).
    """
    smooth = smoothed(pixels)
    finest = 2 if min(pixels.shape) >= 96 else 1
    bright = smooth > _threshold(pixels, smooth)
    core = _opened(bright & (smooth > GHOST * np.roll(smooth, len(smooth) // 2, 0)), finest)
    own = grown(core, RIM) & _opened(bright, finest)
    hull = _seen_from(own, 0) & _seen_from(own, 1)
    tissue = _opened(bright, finest) & hull
    air = ~grown(hull, max(2, round(MARGIN * min(pixels.shape))))
    values = pixels[air]
    left = values[values > 0]
    noise = _level(left) if len(left) >= _fewest(air) else None
    artefact = np.zeros_like(air) if noise is None else _opened(air & (pixels > ODD * noise), 1)
    return Masks(tissue, hull, air, artefact, noise, _why_not(tissue, air, values))


def smoothed(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of 3 x 3 pixels (y, x); the image goes on beyond its border as it is there."""
    padded = np.pad(pixels, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    mean: NDArray[np.float32] = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return mean


def otsu(values: NDArray[np.floating]) -> tuple[float, float]:
    """Threshold between two classes and the share of the variance that lies between them; (0, 0) without variance.

    Otsu, IEEE Trans Syst Man Cybern 1979; 9:62. One Gaussian has a share of 0.64, a uniform distribution 0.75.
    """
    counts, edges = np.histogram(values, bins=128)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = len(values.ravel()) - below
    sums = np.cumsum(counts * centres)
    total = float(np.sum(counts * (centres - sums[-1] / max(1, values.size)) ** 2))
    if total <= 0:
        return 0.0, 0.0
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above / values.size * (mean_below - mean_above) ** 2
    best = int(np.argmax(between))
    return float(edges[best + 1]), float(between[best] / total)


def grown(mask: Mask, reach: int) -> Mask:
    """A mask (y, x) grown by `reach` pixels in rows, columns and diagonals."""
    rows, columns = mask.shape
    wide = np.pad(mask, reach)
    tall = wide[:rows].copy()
    for step in range(1, 2 * reach + 1):
        tall |= wide[step : step + rows]
    out = tall[:, :columns].copy()
    for step in range(1, 2 * reach + 1):
        out |= tall[:, step : step + columns]
    return out


def shrunk(mask: Mask, reach: int) -> Mask:
    """A mask (y, x) without what lies within `reach` pixels of its outside; the image's border is no outside."""
    return ~grown(~mask, reach)


def share_of(part: Mask, whole: Mask) -> float:
    """How many pixels of the whole a mask has; 0 where the whole has none."""
    return int(np.count_nonzero(part & whole)) / max(1, int(np.count_nonzero(whole)))


def _opened(mask: Mask, reach: int) -> Mask:
    """A mask without what is thinner than 2 reach + 1 pixels: lines and specks."""
    return grown(shrunk(mask, reach), reach)


def _seen_from(mask: Mask, axis: int) -> Mask:
    """Pixels that lie in the mask or between two of its pixels along an axis."""
    before = np.logical_or.accumulate(mask, axis=axis)
    after = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
    seen: Mask = before & after
    return seen


def _fewest(mask: Mask) -> float:
    return max(FEWEST, ENOUGH * mask.size)


def _threshold(pixels: NDArray[np.float32], smooth: NDArray[np.float32]) -> float:
    """What the mean of 3 x 3 pixels must exceed to be object: noise, and a share of the bright end."""
    bright = float(np.percentile(smooth, 98))
    dark = pixels[(pixels > 0) & (pixels <= otsu(pixels)[0])]
    noise = _level(dark) if len(dark) >= FEWEST else 0.0
    return max(DARK * bright, min(NOISY * noise, 0.5 * bright))


def _level(values: NDArray[np.float32]) -> float:
    """Noise in magnitudes of which a part may hold signal: from the lower quartile."""
    return float(np.quantile(values, 0.25)) / QUARTILE


def _why_not(tissue: Mask, air: Mask, values: NDArray[np.float32]) -> str:
    """Why noise cannot be told from the air; "" where it can."""
    if not tissue.any():
        return "there is no object in the image"
    if len(values) < _fewest(air):
        return "the object fills the image: no air is left"
    if np.count_nonzero(values) < FILLED * len(values):
        return "the image is zero outside the object: its reconstruction leaves no air"
    return ""

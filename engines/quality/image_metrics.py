"""Figures of an image with the names and formulas of MRIQC (Esteban et al., PLoS ONE 2017; 12:e0184661)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.quality.image_masks import Masks, grown, share_of
from engines.quality.image_tissue import Tissue

__all__ = ["cjv", "cnr", "efc", "fber", "fwhm_mm", "gsr", "qi_1", "snr_total", "snrd"]

DIETRICH: Final = float(np.sqrt((4 - np.pi) / 2))  # standard deviation of Rayleigh's by that of a real part


def snr_total(tissues: Sequence[Tissue]) -> float | None:
    """Mean over tissues of mean by spread, which shading and anatomy add to; None without spread.

    With n / (n - 1), as MRIQC has it.
    """
    if not all(tissue.std > 0 and tissue.pixels > 1 for tissue in tissues):
        return None
    each = [tissue.mean / (tissue.std * np.sqrt(tissue.pixels / (tissue.pixels - 1))) for tissue in tissues]
    return float(np.mean(each))


def snrd(pixels: NDArray[np.float32], masks: Masks) -> float | None:
    """Signal by the noise that stands in the air: Dietrich et al., J Magn Reson Imaging 2007; 26:375."""
    spread = _air_std(pixels, masks)
    return DIETRICH * _signal(pixels, masks) / spread if spread else None


def cnr(pixels: NDArray[np.float32], tissues: tuple[Tissue, Tissue], masks: Masks) -> float | None:
    """Contrast of two tissues by all that blurs it: Magnotta & Friedman, J Digit Imaging 2006; 19:140."""
    air = _air_std(pixels, masks)
    if air is None:
        return None
    dark, bright = tissues
    return float((bright.mean - dark.mean) / np.sqrt(air**2 + dark.std**2 + bright.std**2))


def cjv(tissues: tuple[Tissue, Tissue]) -> float:
    """Spread of two tissues by their distance: Ganzetti et al., Front Neuroinform 2016; 10:10. More is worse."""
    dark, bright = tissues
    return (dark.std + bright.std) / (bright.mean - dark.mean)


def efc(pixels: NDArray[np.float32]) -> float | None:
    """Entropy focus criterion, 0 to 1: energy spread over the image, by ghosts and blur; None without signal.

    Atkinson et al., IEEE Trans Med Imaging 1997; 16:903, by the entropy of an image that is all alike.
    """
    energy = float(np.sqrt(np.sum(np.square(pixels, dtype=np.float64))))
    if energy <= 0 or pixels.size < 2:
        return None
    share = pixels / np.float32(energy)
    entropy = -float(np.sum(share * np.log(share + np.float32(1e-16)), dtype=np.float64))
    return entropy / float(np.sqrt(pixels.size) * np.log(np.sqrt(pixels.size)))


def fber(pixels: NDArray[np.float32], masks: Masks) -> float | None:
    """Median energy of the object by that of the air: Shehzad et al., 2015."""
    air = float(np.median(pixels[masks.air]))
    return (_signal(pixels, masks) / air) ** 2 if air > 0 else None


def qi_1(masks: Masks) -> float:
    """Share of the air that is no noise: Mortamet et al., Magn Reson Med 2009; 62:365."""
    return share_of(masks.artefact, masks.air)


def gsr(pixels: NDArray[np.float32], masks: Masks, axis: int) -> float | None:
    """Ghost at half the field of view along an axis, by signal: Giannelli et al., J Appl Clin Med Phys 2010; 11:3237.

    Its sign is that of the ghost's region less the rest of the air. None where object and ghost leave too little air.
    """
    shifted = np.roll(masks.hull, masks.hull.shape[axis] // 2, axis)
    ghost, rest = masks.air & shifted, masks.air & ~grown(shifted, 2)
    if not (masks.enough(ghost) and masks.enough(rest)):
        return None
    return float(pixels[ghost].mean() - pixels[rest].mean()) / _signal(pixels, masks)


def fwhm_mm(pixels: NDArray[np.float32], masks: Masks, axis: int, pixel_mm: float) -> float | None:
    """Full width at half maximum along an axis of the Gaussian that would make neighbours so alike, as AFNI's 3dFWHMx.

    Forman et al., Magn Reson Med 1995; 33:636: from the variance of the object, and that of differences of neighbours
    in it. Of an image of anatomy it is a measure of blur, not of the point spread. None where neighbours are not alike.
    """
    first, second = [slice(None)] * 2, [slice(None)] * 2
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    both = masks.hull[tuple(first)] & masks.hull[tuple(second)]
    variance = float(np.var(pixels[masks.hull], dtype=np.float64))
    differences = (pixels[tuple(second)] - pixels[tuple(first)])[both]
    if variance <= 0 or not len(differences):
        return None
    alike = 1 - float(np.var(differences, dtype=np.float64)) / (2 * variance)
    return pixel_mm * float(np.sqrt(-2 * np.log(2) / np.log(alike))) if 0 < alike < 1 else None


def _signal(pixels: NDArray[np.float32], masks: Masks) -> float:
    return float(np.median(pixels[masks.tissue]))


def _air_std(pixels: NDArray[np.float32], masks: Masks) -> float | None:
    """Standard deviation of magnitudes in the air, artefacts left out."""
    spread = float(np.std(pixels[masks.air & ~masks.artefact], dtype=np.float64))
    return spread or None

"""All figures of one image, with their units, and the reason where one cannot be told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.quality import image_metrics as metrics
from engines.quality.image_masks import Masks, masks_of
from engines.quality.image_tissue import falloff_db, shading_of, tissues_of, void_share

__all__ = ["UNITS", "Measured", "Shown", "edge_signal", "measure"]

UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "snr": "1",  # more is better
        "snr_total": "1",  # more is better
        "snrd": "1",  # more is better
        "cnr": "1",  # more is better
        "cjv": "1",  # less is better
        "efc": "1",  # less is better
        "fber": "1",  # more is better
        "qi_1": "1",  # less is better
        "gsr": "1",  # 0 is best; along phase encoding
        "fwhm_x": "mm",  # less is sharper; along the readout
        "fwhm_y": "mm",  # less is sharper; along phase encoding
        "edge_signal": "%",  # less is better; what is cut off there has wrapped around
        "falloff": "dB",  # less is better
        "voids": "%",  # less is better
    }
)
NO_TISSUES: Final = "brightness does not fall into two tissues, and nobody has said which are there"
NO_GHOST: Final = "object and ghost leave no air between them"
EDGE: Final = 2  # rows at either end


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What is judged: magnitudes, what noise to expect in them, and what they span."""

    pixels: NDArray[np.float32]  # (y, x), phase encoding along y
    noise_std: NDArray[np.float32] | None = None  # (y, x), of one real part, where it is known
    pixel_mm: tuple[float, float] = (1.0, 1.0)  # (y, x), 0 where it is not known
    cut: bool = False  # whether phase oversampling was cut off, and what lies in it


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures by name, None where one cannot be told, and why."""

    figures: Mapping[str, float | None]
    unknown: Mapping[str, str]
    noise_from: str  # where that of `snr` is from: expected noise | air | nothing


def measure(shown: Shown) -> Measured:
    """Measure an image; what its reconstruction or its anatomy does not let tell is None, with the reason."""
    masks = masks_of(shown.pixels)
    figures: dict[str, float | None] = dict.fromkeys(UNITS)
    unknown: dict[str, str] = {}
    for name, value, why in _told(shown, masks):
        figures[name] = value if value is not None and np.isfinite(value) else None
        if figures[name] is None:
            unknown[name] = why
    from_air = "nothing" if masks.noise is None else "air"
    return Measured(figures, unknown, from_air if shown.noise_std is None else "expected noise")


def _told(shown: Shown, masks: Masks) -> Iterator[tuple[str, float | None, str]]:
    """Name, value and the reason if there is none."""
    if not masks.tissue.any():
        yield from ((name, None, masks.why) for name in UNITS)
        return
    pixels = shown.pixels
    yield "snr", _snr(shown, masks), masks.why or "the air has no noise"
    yield "efc", metrics.efc(pixels), "the image is empty"
    yield from _of_tissue(shown, masks)
    yield from _of_air(shown, masks)
    for name, axis in (("fwhm_y", 0), ("fwhm_x", 1)):
        size_mm = shown.pixel_mm[axis]
        width = metrics.fwhm_mm(pixels, masks, axis, size_mm) if size_mm > 0 else None
        yield name, width, "neighbouring pixels are not alike" if size_mm > 0 else "the size of a pixel is not known"
    cut = "phase oversampling was cut off, and with it what would wrap around"
    yield "edge_signal", None if shown.cut else 100 * edge_signal(pixels, masks), cut


def _of_tissue(shown: Shown, masks: Masks) -> Iterator[tuple[str, float | None, str]]:
    pixels = shown.pixels
    shading = shading_of(pixels, masks)
    yield "falloff", falloff_db(shading, masks), ""
    yield "voids", 100 * void_share(pixels, shading, masks), ""
    tissues = tissues_of(pixels, shading, masks)
    if tissues is None:
        yield from ((name, None, NO_TISSUES) for name in ("snr_total", "cnr", "cjv"))
        return
    yield "snr_total", metrics.snr_total(tissues), "the tissues have no spread"
    yield "cnr", None if masks.why else metrics.cnr(pixels, tissues, masks), masks.why or "the air has no noise"
    yield "cjv", metrics.cjv(tissues), ""


def _of_air(shown: Shown, masks: Masks) -> Iterator[tuple[str, float | None, str]]:
    if masks.why:
        yield from ((name, None, masks.why) for name in ("snrd", "fber", "qi_1", "gsr"))
        return
    yield "snrd", metrics.snrd(shown.pixels, masks), "the air has no noise"
    yield "fber", metrics.fber(shown.pixels, masks), "the air has no energy"
    yield "qi_1", metrics.qi_1(masks), ""
    yield "gsr", metrics.gsr(shown.pixels, masks, 0), NO_GHOST


def _snr(shown: Shown, masks: Masks) -> float | None:
    """Median over the object of signal by noise: the expected noise where it is known, else that of the air."""
    signal = shown.pixels[masks.tissue]
    if shown.noise_std is None:
        return float(np.median(signal)) / masks.noise if masks.noise else None
    return float(np.median(signal / np.maximum(shown.noise_std[masks.tissue], 1e-12)))


def edge_signal(pixels: NDArray[np.float32], masks: Masks) -> float:
    """Signal at the ends of the field of view along phase encoding, by that of the object.

    The root mean square of the two outermost rows of the stronger end, without the noise's share.
    """
    noise = 0.0 if masks.why or masks.noise is None else 2 * masks.noise**2
    power = [float(np.mean(np.square(rows))) - noise for rows in (pixels[:EDGE], pixels[-EDGE:])]
    return float(np.sqrt(max(*power, 0.0))) / float(np.median(pixels[masks.tissue]))

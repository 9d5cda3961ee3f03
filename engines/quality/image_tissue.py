"""What the object looks like: how its brightness falls off, where it is void, and its two tissues if there are two."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.quality.image_masks import Masks, grown, otsu, share_of, shrunk, smoothed

__all__ = ["Tissue", "falloff_db", "shading_of", "tissues_of", "void_share"]

APART: Final = 0.75  # of the variance between two tissues; one class, even a uniform one, has no more
SMALLEST: Final = 0.1  # of the object, for each of two tissues
VOID: Final = 0.1  # of the brightness that is usual there
RIM: Final = 3  # pixels that share their brightness with the air


@dataclass(frozen=True, slots=True)
class Tissue:
    """Brightness of one tissue, shading divided out."""

    mean: float
    std: float
    pixels: int


def shading_of(pixels: NDArray[np.float32], masks: Masks) -> NDArray[np.float32]:
    """Usual brightness (y, x): a quadratic surface through the logarithm of the tissue's, 1 at its mean.

    Anatomy that is itself a quadratic surface cannot be told from the coils' shading.
    """
    inner = _inside(masks)
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in pixels.shape)
    rows_in, columns_in = np.nonzero(inner)
    v, u = y[rows_in], x[columns_in]
    logs = np.log(np.maximum(smoothed(pixels)[inner], 1e-12))
    terms = np.stack([u, v, u * u, u * v, v * v])
    centred = terms - terms.mean(axis=1, keepdims=True)
    gram = centred @ centred.T / max(1, len(u)) + 1e-6 * np.eye(5, dtype=np.float32)
    a, b, c, d, e = np.linalg.solve(gram, centred @ (logs - logs.mean()) / max(1, len(u)))
    rows, columns = (b * y + e * y * y)[:, None], (a * x + c * x * x)[None]
    surface = rows + columns + d * y[:, None] * x[None]
    shade: NDArray[np.float32] = np.exp(surface - surface[inner].mean()).astype(np.float32)
    return shade


def falloff_db(shading: NDArray[np.float32], masks: Masks) -> float:
    """From the darkest to the brightest twentieth of the object's usual brightness, in dB."""
    low, high = np.percentile(shading[_inside(masks)], [5, 95])
    return float(20 * np.log10(high / low))


def void_share(pixels: NDArray[np.float32], shading: NDArray[np.float32], masks: Masks) -> float:
    """Share of the hull without signal: below a tenth of what is usual there, in patches of 3 x 3 pixels or more."""
    inner = shrunk(masks.hull, RIM)
    usual = float(np.median(pixels[masks.tissue] / shading[masks.tissue]))
    noise = 0.0 if masks.noise is None else 2.5 * masks.noise
    dark = inner & (smoothed(pixels) < np.maximum(VOID * usual * shading, min(noise, 0.5 * usual)))
    return share_of(grown(shrunk(dark, 1), 1), inner)


def tissues_of(pixels: NDArray[np.float32], shading: NDArray[np.float32], masks: Masks) -> tuple[Tissue, Tissue] | None:
    """The darker and the brighter of two tissues by Otsu's threshold, as nobody has said which they are.

    None where the object's brightness falls into fewer than two classes.
    """
    inner = shrunk(masks.tissue, RIM)
    values = pixels[inner] / shading[inner]
    if not masks.enough(inner):
        return None
    low, high = np.percentile(values, [1, 99])
    kept = values[(values >= low) & (values <= high)]
    threshold, share = otsu(kept)
    dark, bright = kept[kept < threshold], kept[kept >= threshold]
    if share <= APART or min(len(dark), len(bright)) < SMALLEST * len(kept):
        return None
    classes = [Tissue(float(np.mean(part)), float(np.std(part)), len(part)) for part in (dark, bright)]
    return classes[0], classes[1]


def _inside(masks: Masks) -> NDArray[np.bool_]:
    """Tissue without its rim, whose brightness is shared with the air; all of it where little is left."""
    inner = shrunk(masks.tissue, RIM)
    return inner if masks.enough(inner) else masks.tissue

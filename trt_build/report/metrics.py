"""How near an image is to the truth: PSNR, SSIM and NMSE of magnitudes, in a region."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quality", "fitted", "quality"]


class Quality(NamedTuple):
    """Figures of one image in one region."""

    psnr_db: float  # the peak is the largest value of the truth in the region
    ssim: float
    nmse: float


def fitted(image: NDArray[Any], truth: NDArray[Any], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Magnitude of an image (y, x), scaled to lie nearest to the truth in the region by least squares."""
    magnitude = np.abs(image).astype(np.float64)
    power = magnitude[region] @ magnitude[region]
    return magnitude * (magnitude[region] @ truth[region] / power if power > 0 else 0)


def quality(image: NDArray[Any], truth: NDArray[Any], region: NDArray[np.bool_]) -> Quality:
    """Figures of a real or complex image (y, x) in a region.

    SSIM with a Gaussian window of 1.5 pixels and the largest value of the truth in the region as range: Wang et al.,
    IEEE Trans Image Process 2004; 13:600.
    """
    from skimage.metrics import structural_similarity

    truth = truth.astype(np.float64)
    magnitude = fitted(image, truth, region)
    squared = np.mean((magnitude - truth)[region] ** 2)
    peak = truth[region].max()
    _, similarity = structural_similarity(
        magnitude, truth, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return Quality(
        psnr_db=float(10 * np.log10(peak**2 / squared)),
        ssim=float(similarity[region].mean()),
        nmse=float(squared / np.mean(truth[region] ** 2)),
    )

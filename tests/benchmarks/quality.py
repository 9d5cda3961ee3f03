"""How near an image is to the truth inside the head: PSNR, SSIM, NRMSE of magnitudes, scale fitted."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter


class Quality(NamedTuple):
    psnr_db: float
    ssim: float
    nrmse: float


def fitted(image, truth, inside):
    """Magnitude of an image, scaled to fit the truth best inside the head."""
    magnitude = np.abs(image).astype(np.float64)
    return magnitude * (magnitude[inside] @ truth[inside]) / (magnitude[inside] @ magnitude[inside])


def nrmse(image, truth, inside):
    """Distance by the size of the truth."""
    return float(np.linalg.norm((image - truth)[inside]) / np.linalg.norm(truth[inside]))


def ssim(image, truth, inside):
    """Mean structural similarity: Wang et al., IEEE Trans Image Process 2004; 13:600, Gaussian window of 1.5 pixels."""
    level = truth[inside].max()

    def mean(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    a, b = mean(image), mean(truth)
    var_a, var_b, both = mean(image**2) - a**2, mean(truth**2) - b**2, mean(image * truth) - a * b
    small, less = (0.01 * level) ** 2, (0.03 * level) ** 2
    similar = (2 * a * b + small) * (2 * both + less) / ((a**2 + b**2 + small) * (var_a + var_b + less))
    return float(similar[inside].mean())


def quality(image, truth, inside):
    truth = truth.astype(np.float64)
    image = fitted(image, truth, inside)
    error = nrmse(image, truth, inside)
    rms = error * np.sqrt(np.mean(truth[inside] ** 2))
    return Quality(float(20 * np.log10(truth[inside].max() / rms)), ssim(image, truth, inside), error)

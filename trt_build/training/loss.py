"""What training makes small: the error of the image, and how wrong the bound on it is."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from trt_build.training.batch import Batch

__all__ = ["image_loss", "magnitude", "pinball", "similarity", "withheld_loss"]

QUANTILE: Final = 0.9
TINY: Final = 1e-6
TYPICAL: Final = 32.0  # an SNR at which the loss is the relative error


def magnitude(planes: Tensor) -> Tensor:
    """Magnitude (frame, 1, y, x) of planes (frame, 2, y, x), with a gradient at zero."""
    return (planes.square().sum(1, keepdim=True) + TINY).sqrt()


def similarity(image: Tensor, target: Tensor, peak: Tensor) -> Tensor:
    """Structural similarity map (frame, 1, y / 2, x / 2) of two magnitudes, in every other window of 7 pixels.

    Wang et al., IEEE Trans Image Process 2004; 13:600, with a flat window; `peak` (frame, 1, 1, 1) is the range.
    """
    both = torch.cat((image, target, image * image, target * target, image * target), 1)
    mean_i, mean_t, square_i, square_t, cross = torch.split(F.avg_pool2d(both, 7, 2, 3, count_include_pad=False), 1, 1)
    small, smaller = (0.03 * peak).square(), (0.01 * peak).square()
    spread = (square_i - mean_i.square()) + (square_t - mean_t.square())
    covariance = cross - mean_i * mean_t
    luminance = (2 * mean_i * mean_t + smaller) / (mean_i.square() + mean_t.square() + smaller)
    return luminance * (2 * covariance + small) / (spread + small)


def image_loss(image: Tensor, target: Tensor, inside: Tensor, ssim: float) -> Tensor:
    """Mean complex error inside (y, x) over the root of the mean magnitude, plus `ssim` times what SSIM lacks to one.

    Half-way between errors in units of the noise, where bright images count most, and relative ones.
    """
    share = inside / inside.sum().clamp(min=1)
    truth = magnitude(target)
    level = ((truth * share).sum((1, 2, 3), keepdim=True) * TYPICAL + 1).sqrt()
    loss = ((magnitude(image - target) * share) / level).sum((1, 2, 3)).mean()
    if not ssim:
        return loss
    peak = (truth * inside).amax((1, 2, 3), keepdim=True) + 1
    lacking = 1 - similarity(magnitude(image * inside), magnitude(target * inside), peak)
    share = F.avg_pool2d(inside[None], 2)
    return loss + ssim * ((lacking * share).sum((1, 2, 3)) / share.sum().clamp(min=1)).mean()


def pinball(bound: Tensor, image: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Least where nine tenths of the errors inside lie under their bound; it trains the bound, not the image.

    Koenker and Bassett, Econometrica 1978; 46:33.
    """
    short = magnitude(image.detach() - target) - bound
    return (torch.maximum(QUANTILE * short, (QUANTILE - 1) * short) * inside).sum() / (inside.sum() * len(bound) + 1)


def withheld_loss(image: Tensor, batch: Batch) -> Tensor:
    """Error on lines kept from the network, no reference needed: SSDU, normalised l1 and l2.

    Yaman et al., Magn Reson Med 2020; 84:3172.
    """
    assert batch.loss_lines is not None  # noqa: S101
    assert batch.loss_maps is not None  # noqa: S101
    assert batch.loss_transform is not None  # noqa: S101
    rho = torch.complex(image[:, 0], image[:, 1])
    predicted = batch.loss_transform @ (batch.loss_maps * rho[:, None])[..., : batch.loss_lines.shape[-1]]
    off = (predicted - batch.loss_lines).abs()
    truth = batch.loss_lines.abs()
    axes = (1, 2, 3)
    squares = off.square().sum(axes).sqrt() / (truth.square().sum(axes).sqrt() + TINY)
    return (squares + off.sum(axes) / (truth.sum(axes) + TINY)).mean()

"""How good a network is on subjects that nobody trained on, and how far its bound must be stretched to hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from trt_build.networks.consistency import solve
from trt_build.training.batch import Batch
from trt_build.training.loss import QUANTILE, magnitude
from trt_build.training.networks import predict

__all__ = ["Judged", "conformal_factor", "coverage", "judge", "linear_figures"]

WINDOW: Final = 11


@dataclass(frozen=True, slots=True)
class Judged:
    """Means over images, inside the object."""

    psnr_db: float
    ssim: float
    coverage: float  # share of pixels under their bound; NaN without one


def judge(network: nn.Module, batches: Sequence[Batch], *, half: bool = False) -> Judged:
    """Judge every frame of some batches."""
    figures: list[tuple[float, float]] = []
    under: list[float] = []
    with torch.no_grad():
        for batch in batches:
            image, bound = predict(network, batch, half=half)
            figures += _figures(image, batch)
            if bound is not None:
                under.append(coverage(image, bound, batch))
    psnr, ssim = np.mean(figures, 0)
    return Judged(float(psnr), float(ssim), float(np.mean(under)) if under else float("nan"))


def linear_figures(batches: Sequence[Batch]) -> tuple[float, float]:
    """PSNR (dB) and SSIM of P b, which every network starts from."""
    with torch.no_grad():
        figures = [pair for batch in batches for pair in _figures(solve(batch.inverse, batch.normal), batch)]
    psnr, ssim = np.mean(figures, 0)
    return float(psnr), float(ssim)


def coverage(image: Tensor, bound: Tensor, batch: Batch) -> float:
    """Share of the pixels inside whose complex error is under its bound."""
    inside = batch.inside.bool().expand(len(image), 1, -1, -1)
    return float((magnitude(image - batch.target) <= bound)[inside].float().mean())


def conformal_factor(network: nn.Module, batches: Iterable[Batch]) -> float:
    """Factor on the bound under which nine tenths of the pixels inside lie, each image counting the same.

    Split conformal prediction: Angelopoulos and Bates, arXiv:2107.07511.
    """
    shares: list[Tensor] = []
    with torch.no_grad():
        for batch in batches:
            image, bound = predict(network, batch, half=False)
            assert bound is not None  # noqa: S101
            ratio = magnitude(image - batch.target) / bound.clamp(min=1e-6)
            for frame in ratio:
                inside = frame[0][batch.inside.bool()]
                shares.append(torch.quantile(inside, torch.linspace(0, 1, 501)))
    return float(torch.quantile(torch.cat(shares), QUANTILE))


def _figures(image: Tensor, batch: Batch) -> list[tuple[float, float]]:
    """PSNR (dB, the peak is the largest value inside) and SSIM (Gaussian window of 1.5 pixels) of each frame."""
    inside = batch.inside
    target, given = magnitude(batch.target) * inside, magnitude(image) * inside
    peak = target.amax((1, 2, 3), keepdim=True)
    squared = (given - target).square().sum((1, 2, 3)) / inside.sum()
    psnr = 10 * torch.log10(peak[:, 0, 0, 0].square() / squared)
    ssim = (_similarity(given, target, peak) * inside).sum((1, 2, 3)) / inside.sum()
    return list(zip(psnr.tolist(), ssim.tolist(), strict=True))


def _similarity(image: Tensor, target: Tensor, peak: Tensor) -> Tensor:
    """SSIM map (frame, 1, y, x): Wang et al., IEEE Trans Image Process 2004; 13:600."""
    at = torch.arange(WINDOW, device=image.device) - WINDOW // 2
    line = torch.exp(-(at.float() ** 2) / (2 * 1.5**2))
    window = (line[:, None] * line / line.sum() ** 2)[None, None]
    moments = torch.cat((image, target, image * image, target * target, image * target))
    blurred = F.conv2d(F.pad(moments, (WINDOW // 2,) * 4, mode="reflect"), window).chunk(5)
    mean_i, mean_t, square_i, square_t, cross = blurred
    small, smaller = (0.03 * peak).square(), (0.01 * peak).square()
    spread = square_i - mean_i.square() + square_t - mean_t.square()
    luminance = (2 * mean_i * mean_t + smaller) / (mean_i.square() + mean_t.square() + smaller)
    return luminance * (2 * (cross - mean_i * mean_t) + small) / (spread + small)

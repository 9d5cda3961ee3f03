"""A small network that says which artefacts an image has, how strong, and where."""

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from engines.artefacts.names import ARTEFACTS
from engines.artefacts.planes import IMAGE, SPECTRUM

__all__ = ["ArtefactNetwork"]

WIDTHS: Final = (16, 32, 48, 64)  # channels after each halving of the image
SPECTRAL: Final = (16, 24, 32)  # the same of the spectrum


class ArtefactNetwork(nn.Module):
    """Convolutions on image and spectrum, means and maxima of both, one linear layer; operators of every engine."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(*_halvings((IMAGE, *WIDTHS)), _block(WIDTHS[-1], WIDTHS[-1], 1))
        self.spectrum = nn.Sequential(*_halvings((SPECTRUM, *SPECTRAL)), _block(SPECTRAL[-1], SPECTRAL[-1], 1))
        self.score = nn.Linear(2 * (WIDTHS[-1] + SPECTRAL[-1]), len(ARTEFACTS))
        self.degree = nn.Linear(2 * (WIDTHS[-1] + SPECTRAL[-1]), len(ARTEFACTS))

    def forward(self, image: Tensor, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (frame, artefact) before the sigmoid, logarithms of severities, features (frame, …, y/16, x/16)."""
        seen, heard = self.image(image), self.spectrum(spectrum)
        told = torch.cat([seen.mean((2, 3)), seen.amax((2, 3)), heard.mean((2, 3)), heard.amax((2, 3))], 1)
        return self.score(told), self.degree(told), seen


def _halvings(widths: tuple[int, ...]) -> list[nn.Module]:
    return [_block(given, made, 2) for given, made in pairwise(widths)]


def _block(given: int, made: int, stride: int) -> nn.Module:
    """Two convolutions, the first of which halves the picture or not; batch norms end in the weights."""
    size = 5 if given in (IMAGE, SPECTRUM) else 3
    return nn.Sequential(
        nn.Conv2d(given, made, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU(),
        nn.Conv2d(made, made, 3, 1, 1, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU(),
    )

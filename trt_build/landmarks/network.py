"""A small network that says where landmarks are: heat maps in three dimensions, and how far to believe them."""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from engines.positioning.grid import FAR_MM, FAR_SHAPE, NEAR_MM, NEAR_SHAPE, lattice
from trt_build.landmarks.heads import NAMES

__all__ = ["GRIDS", "LandmarkNetwork"]

WIDTHS: Final = (12, 24, 48, 64)  # channels at full, half, quarter and eighth resolution
GRIDS: Final = {"far": (FAR_SHAPE, FAR_MM), "near": (NEAR_SHAPE, NEAR_MM)}
WIDEST_MM: Final = 30.0  # spread beyond which nothing is told apart


class LandmarkNetwork(nn.Module):
    """A U-Net whose heat maps are read by their mean (soft-argmax); operators of every engine.

    The features under a landmark's heat map and those of the whole view tell how far it lies off, and whether it is
    there at all.
    """

    def __init__(self, view: str) -> None:
        super().__init__()
        shape, spacing_mm = GRIDS[view]
        one, two, four, eight = WIDTHS
        self.down_full = _block(2, one, 1)
        self.down_half = nn.Sequential(_block(one, two, 2), _block(two, two, 1))
        self.down_quarter = nn.Sequential(_block(two, four, 2), _block(four, four, 1))
        self.down_eighth = nn.Sequential(_block(four, eight, 2), _block(eight, eight, 1))
        self.to_quarter = _up(eight, four, shape, 4)
        self.at_quarter = _block(four, four, 1)
        self.to_half = _up(four, two, shape, 2)
        self.at_half = _block(two, two, 1)
        self.to_full = _up(two, one, shape, 1)
        self.maps = nn.Conv3d(one, len(NAMES), 1)
        self.told = nn.Linear(2 * eight, 2 * len(NAMES))
        self.here = nn.Parameter(torch.zeros(2, len(NAMES), one))
        self.plausible = nn.Sequential(nn.Linear(2 * eight, 32), nn.ReLU(), nn.Linear(32, 1))
        places = lattice(shape, spacing_mm).reshape(-1, 3).astype(np.float32)
        self.places: Tensor
        self.register_buffer("places", torch.from_numpy(places), persistent=False)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What is seen in views (frame, 2, z, y, x).

        Places (frame, landmark, 3) in mm about the middle, the logarithm of how far they lie off (frame, landmark) in
        mm, scores of presence (frame, landmark) and of a head (frame, 1), heat maps (frame, landmark, voxel) before
        the softmax.
        """
        full = self.down_full(seen)
        half = self.down_half(full)
        quarter = self.down_quarter(half)
        eighth = self.down_eighth(quarter)
        up = self.at_quarter(torch.relu(self.to_quarter(eighth) + quarter))
        up = self.at_half(torch.relu(self.to_half(up) + half))
        up = torch.relu(self.to_full(up) + full)
        maps = self.maps(up).flatten(2)
        heat = maps.softmax(2)
        places = heat @ self.places
        under = heat @ up.flatten(2).transpose(1, 2)
        told = torch.cat([eighth.mean((2, 3, 4)), eighth.amax((2, 3, 4))], 1)
        off, present = (self.told(told).reshape(-1, 2, len(NAMES)) + (under[:, None] * self.here).sum(3)).unbind(1)
        return places, off, present, self.plausible(told), maps


def _block(given: int, made: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(given, made, 3, stride, 1, bias=False), nn.BatchNorm3d(made), nn.ReLU())


def _up(given: int, made: int, shape: tuple[int, int, int], step: int) -> nn.Module:
    """Twice as fine, to the size that the grid has at this resolution."""
    odd = [-(-size // step) % 2 for size in shape]
    return _Up(given, made, odd)


class _Up(nn.Module):
    """A transposed convolution without overlap; the last plane is left out where the finer grid is odd."""

    def __init__(self, given: int, made: int, odd: list[int]) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(given, made, 2, 2)
        self.odd = odd

    def forward(self, seen: Tensor) -> Tensor:
        made = self.up(seen)
        for axis, odd in enumerate(self.odd):
            if odd:
                made = made.narrow(axis + 2, 0, made.shape[axis + 2] - 1)
        return made

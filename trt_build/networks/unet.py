"""A peer: a U-Net that cleans the linear image, with data consistency before it and none after.

After Ronneberger et al., MICCAI 2015; 9351:234, as an image-domain reconstruction: Zbontar et al., arXiv:1811.08839. It
starts from P b as our network does, and sees it in the same units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from trt_build.networks.consistency import level, solve

__all__ = ["UNet", "UNetShape"]


@dataclass(frozen=True, slots=True)
class UNetShape:
    """About the parameters and products of the unrolled network: 1.1 M, 2.6 G for 200 x 160 pixels."""

    width: int = 24  # channels at full resolution, twice as many at each level below
    levels: int = 3  # below full resolution; sizes are multiples of 8
    strength: float = 15.0  # of the linear image


class _Double(nn.Sequential):
    """Two convolutions, each rectified."""

    def __init__(self, given: int, wanted: int) -> None:
        super().__init__(
            nn.Conv2d(given, wanted, 3, padding=1), nn.ReLU(), nn.Conv2d(wanted, wanted, 3, padding=1), nn.ReLU()
        )


class UNet(nn.Module):
    """`normal` (frame, 2, y, x), `inverse` (group, 2 * alias, alias), `scan` (2,) to the image (frame, 2, y, x)."""

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.width * 2**level for level in range(shape.levels + 1)]
        self.down = nn.ModuleList(_Double(a, b) for a, b in zip([2, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[:-1])
        self.merge = nn.ModuleList(_Double(2 * w, w) for w in widths[:-1])
        self.last = nn.Conv2d(widths[0], 2, 1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, normal: Tensor, inverse: Tensor, scan: Tensor) -> Tensor:
        """Add to P b what the convolutions find missing."""
        with torch.autocast(normal.device.type, enabled=False):
            linear = solve(inverse, normal)
        unit = level(scan, self.shape.strength)
        features, kept = linear / unit, []
        for depth, block in enumerate(self.down):
            features = block(features if depth == 0 else F.max_pool2d(features, 2))
            kept.append(features)
        for depth in reversed(range(self.shape.levels)):
            features = self.merge[depth](torch.cat((kept[depth], self.up[depth](features)), 1))
        image: Tensor = linear + unit * self.last(features)
        return image

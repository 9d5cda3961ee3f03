"""A peer: the end-to-end variational network of the fastmri package, at the size of ours.

Sriram et al., MICCAI 2020; 12262:64. Blocks and sensitivity network are the package's own. Two things are fitted to
our data: the network of sensitivities is handed the calibration lines, wherever they were acquired, and sees their maps
once for all frames; lines run along y, which the package has in the last axis. The image is a magnitude.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["VarNet", "VarNetShape"]


@dataclass(frozen=True, slots=True)
class VarNetShape:
    """Sizes of the package's network: 0.83 M parameters."""

    cascades: int = 5
    width: int = 9
    levels: int = 3
    maps_width: int = 6
    maps_levels: int = 3


class VarNet(nn.Module):
    """Coil k-space to a magnitude image."""

    def __init__(self, shape: VarNetShape) -> None:
        super().__init__()
        from fastmri.models.varnet import NormUnet, SensitivityModel, VarNetBlock

        self.shape = shape
        self.sensitivities = SensitivityModel(shape.maps_width, shape.maps_levels, mask_center=False)
        self.cascades = nn.ModuleList(VarNetBlock(NormUnet(shape.width, shape.levels)) for _ in range(shape.cascades))

    def forward(self, lines: Tensor, acquired: Tensor, calibration: Tensor) -> Tensor:
        """Image (frame, line, x) from acquired lines (frame, coil, line, x) and calibration lines (coil, line, x).

        Complex, in hybrid space, zero where nothing was acquired; `acquired` (line,) are the lines that frames have.
        """
        from fastmri import complex_abs, ifft2c, rss

        measured, first = _kspace(lines), _kspace(calibration[None])
        mask = acquired.bool().reshape(1, 1, 1, -1, 1)
        maps = self.sensitivities(first, mask)
        kspace = measured
        for cascade in self.cascades:
            kspace = cascade(kspace, measured, mask, maps)
        image: Tensor = rss(complex_abs(ifft2c(kspace)), dim=1)
        return image.transpose(1, 2)


def _kspace(hybrid: Tensor) -> Tensor:
    """Hybrid space (frame, coil, line, x) as the package's k-space (frame, coil, kx, line, 2)."""
    shifted = torch.fft.ifftshift(hybrid, dim=-1)
    spectrum = torch.fft.fftshift(torch.fft.fft(shifted, dim=-1, norm="ortho"), dim=-1)
    return torch.view_as_real(spectrum.transpose(-1, -2).contiguous())

"""A phantom like the large one of the ACR: a cylinder of salt water with a grid in one half."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.tissue import Contrast, Tissue

__all__ = ["ACR_LIKE", "Cylinder"]

# Nickel chloride, 10 mM, with salt: about 0.64 /s/mM and 0.70 /s/mM at 3 T besides water.
FILLING: Final = Tissue("nickel", 1.0, 150.0, 130.0, 110.0)


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A cylinder along z about the isocentre, with a plate of crossed walls across it towards the feet."""

    diameter_mm: float = 190.0
    length_mm: float = 148.0
    grid_mm: tuple[float, float] = (-60.0, -20.0)  # from where to where along z
    cell_mm: float = 15.0
    wall_mm: float = 1.6
    cells: int = 8  # of the grid either way

    @property
    def radius_mm(self) -> float:
        """Nothing lies farther from the isocentre along any axis."""
        return max(self.diameter_mm, self.length_mm) / 2

    def image(self, points_mm: NDArray[np.float64], weight: Contrast) -> NDArray[np.float32]:
        """Signal at points (..., 3), LPS mm."""
        x, y, z = np.moveaxis(points_mm, -1, 0)
        inside = (np.hypot(x, y) <= self.diameter_mm / 2) & (np.abs(z) <= self.length_mm / 2)
        reach = self.cells * self.cell_mm / 2
        plate = (z >= self.grid_mm[0]) & (z <= self.grid_mm[1]) & (np.abs(x) <= reach) & (np.abs(y) <= reach)
        wall = np.zeros(inside.shape, np.bool_)
        for axis in (x, y):
            away = np.abs(axis / self.cell_mm - np.rint(axis / self.cell_mm)) * self.cell_mm
            wall |= away <= self.wall_mm / 2
        return np.where(inside & ~(plate & wall), np.float32(weight(FILLING)), np.float32(0))


ACR_LIKE: Final = Cylinder()

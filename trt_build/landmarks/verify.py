"""What backends are compared on: views of drawn things in noise, as the network is shown them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.grid import Sheet, far, near
from engines.positioning.pose import Pose
from engines.positioning.scout import Scout

__all__ = ["LARGEST_MM", "known_views"]

LARGEST_MM: Final = 0.1  # difference of a place
SCOUTS: Final = 8
SIDE: Final = 56
VOXEL_MM: Final = 4.6


def known_views() -> Iterator[Mapping[str, Mapping[str, NDArray[Any]]]]:
    """Whole and near views, by graph, of ellipsoids with holes, of any size and place, in noise."""
    affine = np.diag((VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0))
    affine[:3, 3] = -VOXEL_MM * SIDE / 2
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 3, indexing="ij")
    for number in range(SCOUTS):
        chance = np.random.default_rng([9, number])
        image = np.zeros((SIDE,) * 3)
        for _ in range(6):
            half, at = chance.uniform(0.1, 0.7, 3), chance.uniform(-0.3, 0.3, 3)
            away = ((x - at[0]) / half[0]) ** 2 + ((y - at[1]) / half[1]) ** 2 + ((z - at[2]) / half[2]) ** 2
            image[away < 1] = chance.uniform(0, 1)
        noisy = np.hypot(image + 0.05 * chance.standard_normal(image.shape), 0.05 * chance.standard_normal(image.shape))
        scout = Scout(noisy.astype(np.float32), affine, 0.05, "HFS", (0.0, 0.0, 0.0), "", 0.0)
        sheet = Sheet(scout)
        upright = Pose(np.eye(3), 1.0, sheet.middle_mm)
        yield {"model": {"seen": far(sheet)}, "near": {"seen": near(sheet, upright, level=True)}}

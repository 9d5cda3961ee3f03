"""A scout as it was reconstructed: magnitudes on a grid, and where that grid lies in the scanner."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scout", "bare"]


@dataclass(frozen=True, slots=True, eq=False)
class Scout:
    """One volume of a scout; slices of three planes are brought onto one grid first."""

    pixels: NDArray[np.float32]  # (z, y, x) magnitudes
    affine: NDArray[np.float64]  # (4, 4), (x, y, z) voxel index to LPS mm from the isocentre; any directions
    noise: float | None  # standard deviation of the noise in the pixels, real part; None: not known
    patient_position: str  # HFS, FFDR …
    table_position_mm: tuple[float, float, float]
    measurement_id: str  # as the ISMRMRD header names it
    time_s: float  # Unix time of the last readout


def bare(pixels: NDArray[np.float32], affine: NDArray[np.float64]) -> Scout:
    """Magnitudes (z, y, x) on a grid, of which nothing else matters."""
    return Scout(pixels, affine, None, "", (0.0, 0.0, 0.0), "", 0.0)

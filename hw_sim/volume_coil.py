"""A volume coil: two saddles at right angles around a phantom, as uniform as the loops of an array are not."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.coils import Array

__all__ = ["volume_coil"]

RADIUS_MM: Final = 190.0
LENGTH_MM: Final = 560.0  # about three radii, and arcs of 120 degrees: the field is flat in the middle
HALF_ARC: Final = np.pi / 3
ARC, LEG, LINK = 12, 16, 8  # straight pieces of each part


def volume_coil() -> Array:
    """Make two channels, one for each direction across the bore; noise that is equal and not correlated."""
    wires = np.stack([_saddle(angle) for angle in (0.0, np.pi / 2)])
    made = Array(wires, np.ones(2, np.complex128), np.eye(2, dtype=np.complex128))
    middle = np.linalg.norm(made.field(np.zeros((1, 3))))
    return Array(wires, made.gains / middle, made.covariance)


def _saddle(towards: float) -> NDArray[np.float64]:
    """One wire around both halves, the second one the other way round, so that their fields add up in the middle."""
    first, second = (_half(towards + turn, way) for turn, way in ((0.0, 1.0), (np.pi, -1.0)))
    there = np.linspace(first[-1], second[0], LINK + 1)[1:-1]
    return np.concatenate([first, there, second, there[::-1], first[:1]])


def _half(towards: float, way: float) -> NDArray[np.float64]:
    """Corners of one half, closed: an arc towards the head, a leg, the arc back towards the feet, a leg."""
    angles = towards + way * np.linspace(-HALF_ARC, HALF_ARC, ARC + 1)
    legs = np.linspace(LENGTH_MM / 2, -LENGTH_MM / 2, LEG + 1)
    arc = np.stack([RADIUS_MM * np.cos(angles), RADIUS_MM * np.sin(angles)], axis=1)
    parts = [
        np.column_stack([arc, np.full(ARC + 1, legs[0])]),
        np.column_stack([np.tile(arc[-1], (LEG + 1, 1)), legs]),
        np.column_stack([arc[::-1], np.full(ARC + 1, legs[-1])]),
        np.column_stack([np.tile(arc[0], (LEG + 1, 1)), legs[::-1]]),
    ]
    return np.concatenate(parts)

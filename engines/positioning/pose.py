"""Where a template's body lies in the scanner: turn, size and shift that take its landmarks to those found."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pose", "fitted"]

ROUNDS: Final = 8  # of weights that follow from residuals


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Place in the scanner = scale * turn @ place in the template + shift; LPS mm both."""

    turn: NDArray[np.float64]  # (3, 3) rotation
    scale: float
    shift_mm: NDArray[np.float64]  # (3,)

    def to_scanner(self, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (..., 3) of the template, in the scanner."""
        return self.scale * places_mm @ self.turn.T + self.shift_mm

    def to_template(self, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (..., 3) of the scanner, in the template."""
        return (places_mm - self.shift_mm) @ self.turn / self.scale


def fitted(
    template_mm: NDArray[np.float64], found_mm: NDArray[np.float64], sigma_mm: NDArray[np.float64], slack_mm: float
) -> Pose:
    """The pose that fits points (n, 3) found with errors of sigma_mm (n,) best; those far off hardly count.

    Umeyama, IEEE PAMI 1991; 13:376, with the weights of Cauchy; `slack_mm` is by how far bodies differ. Three points or
    more that do not lie on a line are needed.
    """
    trusted = 1 / (sigma_mm**2 + slack_mm**2)
    weights = trusted
    for _ in range(ROUNDS):
        pose = _fit(template_mm, found_mm, weights)
        off_mm = np.linalg.norm(pose.to_scanner(template_mm) - found_mm, axis=1)
        weights = trusted / (1 + off_mm**2 * trusted / 3)
    return pose


def _fit(template_mm: NDArray[np.float64], found_mm: NDArray[np.float64], weights: NDArray[np.float64]) -> Pose:
    share = (weights / weights.sum())[:, None]
    here, there = (share * template_mm).sum(0), (share * found_mm).sum(0)
    one, other = template_mm - here, found_mm - there
    left, sizes, right = np.linalg.svd((share * other).T @ one)
    hand = np.array((1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))))
    turn = (left * hand) @ right
    scale = float((sizes * hand).sum() / max(float((share * one**2).sum()), 1e-9))
    return Pose(turn, scale, there - scale * turn @ here)

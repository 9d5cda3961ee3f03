"""How bodies differ in shape, and the likeliest one where single landmarks were found with errors."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["likeliest", "shape_modes"]

FREE_MM: Final = 30.0  # by which pose and size may still be off, as the outermost landmark moves
HIDDEN_MM: Final = 1e4  # standard deviation of what was not found


def likeliest(
    mean_mm: NDArray[np.float64],
    modes_mm: NDArray[np.float64],
    rest_mm: float,
    found_mm: NDArray[np.float64],
    off_mm: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places (n, 3) and the covariance (3 n, 3 n) of their errors, of places found and how far these lie off.

    Bodies are mean_mm (n, 3) and normally distributed about it along modes_mm (mode, n, 3), each as long as its
    standard deviation, with rest_mm in every direction beside; pose and size are left free. What lies off by HIDDEN_MM
    or more follows from the others: no more than a guess. Cootes et al., Comput Vis Image Underst 1995; 61:38, by
    conditional expectation.
    """
    basis = np.concatenate([modes_mm.reshape(len(modes_mm), -1), _moves(mean_mm).reshape(7, -1)])
    body = basis.T @ basis + rest_mm**2 * np.eye(mean_mm.size)
    noise = np.repeat(np.minimum(off_mm, HIDDEN_MM) ** 2 / 3, 3)
    gain = np.linalg.solve(body + np.diag(noise), body).T
    made = mean_mm + (gain @ (found_mm - mean_mm).ravel()).reshape(mean_mm.shape)
    left = body - gain @ body
    return made, (left + left.T) / 2


def shape_modes(shapes_mm: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Mean (n, 3), modes (mode, n, 3) by their standard deviations, and what is left of shapes (body, n, 3).

    What is not known (NaN) is taken to be as in the mean.
    """
    mean = np.nanmean(shapes_mm, axis=0)
    apart = np.nan_to_num(shapes_mm - mean).reshape(len(shapes_mm), -1)
    _, sizes, directions = np.linalg.svd(apart, full_matrices=False)
    deviations = sizes / np.sqrt(max(len(shapes_mm) - 1, 1))
    modes = deviations[:count, None] * directions[:count]
    rest = float(np.sqrt((deviations[count:] ** 2).sum() / apart.shape[1]))
    return mean, modes.reshape(-1, *mean.shape), rest


def _moves(mean_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seven moves (move, n, 3) that are none of the shape: along and about three axes, larger."""
    about = mean_mm - mean_mm.mean(0)
    reach = float(np.linalg.norm(about, axis=1).max())
    along = np.broadcast_to(np.eye(3)[:, None], (3, *mean_mm.shape))
    turned = np.cross(np.eye(3)[:, None], about) / reach
    return FREE_MM * np.concatenate([along, turned, about[None] / reach])

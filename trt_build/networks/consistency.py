"""The data consistency step of an unrolled network in real numbers: one product with an inverse made beforehand.

Planes (frame, 2, y, x) hold real and imaginary part. An inverse (group, 2 * alias, alias) holds Re P above Im P of
P = (N + lambda)^-1, see engines/unrolled/problem.py: alias = y for one dense inverse a column, alias = R where the mask
is a grid and pixels y / R apart are solved together. The same graph serves both, whatever the sizes.
"""

import torch
from torch import Tensor

__all__ = ["level", "solve"]


def solve(inverse: Tensor, planes: Tensor) -> Tensor:
    """P applied to each of the planes (frame, 2, y, x): exact, no inner iterations, no coil axis, no FFT."""
    frames, _, rows, columns = planes.shape
    alias = inverse.shape[2]
    groups = planes.reshape(2 * frames, alias, -1, columns).permute(2, 3, 0, 1).reshape(-1, 2 * frames, alias)
    product = torch.matmul(groups, inverse.transpose(1, 2)).reshape(-1, columns, frames, 2, 2, alias)
    real = product[:, :, :, 0, 0] - product[:, :, :, 1, 1]
    imaginary = product[:, :, :, 1, 0] + product[:, :, :, 0, 1]
    return torch.stack((real, imaginary)).permute(3, 0, 4, 1, 2).reshape(frames, 2, rows, columns)


def level(scan: Tensor, strength: float) -> Tensor:
    """Level of the signal that the lambda of `scan` (2,) was made from: engines/unrolled/strength.py, turned around."""
    return strength * scan[1] / scan[0]

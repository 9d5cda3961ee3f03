"""CG-SENSE for any Cartesian mask: undersampled along one direction or two, regular or not.

The model of unfold.py and columns.py: minimise |y - M F S rho|^2 + lambda |rho|^2 over all axes given.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.linear.fourier import to_image, to_kspace

__all__ = ["Sense", "Solution", "adjoint", "cg_sense", "forward"]

Complex = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Sense:
    """What the image has to do with the samples."""

    maps: Complex  # (coil, ...)
    acquired: NDArray[np.bool_]  # broadcasts to an image (...)
    axes: tuple[int, ...]  # of the image, still in k-space: (0,) for (y, x) in hybrid space, (0, 1) for (e2, e1, x)
    regularisation: float = 1e-3  # lambda >= 0, in units where sum |S|^2 = 1

    def __post_init__(self) -> None:
        image = self.maps.shape[1:]
        try:
            fits = np.broadcast_shapes(self.acquired.shape, image) == image
        except ValueError:
            fits = False
        if not fits:
            raise LinearError(f"CG-SENSE: got a mask {self.acquired.shape}, wanted one that broadcasts to {image}")
        if self.regularisation < 0:
            raise LinearError(f"CG-SENSE: got regularisation {self.regularisation}, wanted 0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """An image (...), how many steps it took, and what was left of the residual, as a share of the right-hand side."""

    image: Complex
    iterations: int
    residual: float


def forward(sense: Sense, image: NDArray[Any]) -> Complex:
    """M F S: image (...) to k-space (coil, ...), zero where nothing was acquired."""
    data = sense.maps * image
    for axis in sense.axes:
        data = to_kspace(data, axis + 1)
    return (data * sense.acquired).astype(np.complex64, copy=False)


def adjoint(sense: Sense, kspace: NDArray[Any]) -> Complex:
    """S^H F^H M: k-space (coil, ...) to an image (...); the adjoint of forward."""
    data = kspace * sense.acquired
    for axis in sense.axes:
        data = to_image(data, axis + 1)
    matched: Complex = np.einsum("c...,c...->...", sense.maps.conj(), data)
    return matched.astype(np.complex64, copy=False)


def cg_sense(
    kspace: NDArray[Any],
    sense: Sense,
    iterations: int = 50,
    tolerance: float = 1e-4,
    initial: NDArray[Any] | None = None,
) -> Solution:
    """Image (...) from k-space (coil, ...).

    Stops when the residual is `tolerance` of the right-hand side; `initial` starts warm. Pruessmann et al., Magn Reson
    Med 2001; 46:638. Raises LinearError when k-space has not the shape of the maps.
    """
    if kspace.shape != sense.maps.shape:
        raise LinearError(f"CG-SENSE: got k-space {kspace.shape}, wanted the shape of the maps {sense.maps.shape}")

    def normal(image: Complex) -> Complex:
        return adjoint(sense, forward(sense, image)) + np.float32(sense.regularisation) * image

    b = adjoint(sense, kspace)
    size = float(np.linalg.norm(b))
    image = np.zeros_like(b) if initial is None else initial.astype(np.complex64)
    residual = b if initial is None else b - normal(image)
    direction, power = residual, float(np.vdot(residual, residual).real)
    step = 0
    while step < iterations and power > (tolerance * size) ** 2:
        ahead = normal(direction)
        alpha = np.float32(power / np.vdot(direction, ahead).real)
        image = image + alpha * direction
        residual = residual - alpha * ahead
        before, power = power, float(np.vdot(residual, residual).real)
        direction = residual + np.float32(power / before) * direction
        step += 1
    return Solution(image, step, power**0.5 / size if size else 0.0)

"""Small problems with real physics: what a model is tested with when it is loaded."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engines.linear.fourier import to_kspace
from engines.unrolled.problem import network_problem, normal_image
from engines.unrolled.strength import regularisation_of, scan_of

__all__ = ["small_problems"]

COILS, SNR = 6, 30.0
Problem = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def small_problems(strength: float, seed: int = 0) -> Mapping[str, Problem]:
    """Right-hand side (1, 2, y, x), inverse, scan and noise (y, x) of a disc in six coils.

    Dense 32 x 32, blocks of 4 in 64 x 32.
    """
    dense = np.zeros(32, np.bool_)
    dense[::3] = True
    dense[12:20] = True
    blocks = np.zeros(64, np.bool_)
    blocks[1::4] = True
    return {"dense": _problem(dense, 32, strength, seed), "blocks": _problem(blocks, 32, strength, seed)}


def _problem(acquired: NDArray[np.bool_], width: int, strength: float, seed: int) -> Problem:
    chance = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, len(acquired)), np.linspace(-1, 1, width), indexing="ij")
    turns = 2 * np.pi * np.arange(COILS)[:, None, None] / COILS
    distance = (y - 1.2 * np.sin(turns)) ** 2 + (x - 1.2 * np.cos(turns)) ** 2
    maps = np.exp(1j * (turns + x * np.cos(turns) + y * np.sin(turns))) / (0.3 + distance)
    maps = (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64) * (y**2 + x**2 < 0.8)
    image = SNR * (1 + 0.3 * np.sign(np.sin(7 * x) * np.sin(5 * y)))
    hybrid = to_kspace((maps * image).astype(np.complex64), 1)
    noise = chance.standard_normal((2, *hybrid.shape)) / np.sqrt(2)
    hybrid = (hybrid + noise[0] + 1j * noise[1]) * acquired[:, None]
    regularisation = regularisation_of(SNR, acquired, strength)
    problem = network_problem(maps, acquired, regularisation, box=(slice(0, len(acquired)), slice(0, width)))
    return normal_image(problem, hybrid.astype(np.complex64)), problem.inverse, scan_of(problem), problem.noise

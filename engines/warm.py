"""Do once, on nothing, what the first frame would else have to wait for: imports, FFT plans, first calls."""

import numpy as np

from engines.linear.calibration import learn
from engines.linear.columns import invert_columns, solve_columns
from engines.linear.frame import make_image

__all__ = ["warm"]


def warm(lines: int = 32, coils: int = 4) -> None:
    """Calibrate and reconstruct a frame of noise (coil, line, x) by every method that real time needs."""
    random = np.random.default_rng(0)
    hybrid = random.standard_normal((coils, lines, 2 * lines), np.float32).view(np.complex64)
    block = slice(lines // 2 - 6, lines // 2 + 6)
    grid = np.arange(lines) % 2 == 0
    every = grid.copy()
    every[block] = True
    make_image(hybrid * grid[:, None], grid, learn(hybrid[:, block], block.start, grid, "walsh"))
    frame = hybrid * every[:, None]
    calibration = learn(hybrid[:, block], block.start, every, "espirit")
    make_image(frame, every, calibration)
    inverse = None if calibration.problem is None else invert_columns(calibration.problem)
    if inverse is not None:
        solve_columns(inverse, frame)

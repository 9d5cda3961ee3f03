"""How firmly a network's image is held to the lines: lambda by the signal, so that scans of every SNR look alike to it.

lambda weighs the network's proposal against samples of noise 1. The error of a proposal grows with the signal, so that
the weight that suits it falls with its square; and N of fewer lines is smaller, all of it. With the share of the lines
that is used, lambda = (strength * share / level)^2. The network is told lambda and share.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.unrolled.problem import NetworkBox

__all__ = ["ENDS", "level_of", "regularisation_of", "scan_of"]

ENDS: Final = (0.001, 1.0)  # of lambda: below, single precision runs short; above, noise passes for signal


def level_of(calibration_lines: NDArray[np.complex64], inside: NDArray[np.bool_]) -> float:
    """Root mean square of the object (y, x) in units of the noise, from whitened lines (coil, line, x), by Parseval."""
    energy = float(np.vdot(calibration_lines, calibration_lines).real) - calibration_lines.size
    return float(np.sqrt(max(energy, 0.0) / max(int(inside.sum()), 1)))


def regularisation_of(level: float, acquired: NDArray[np.bool_], strength: float) -> float:
    """Lambda for a level of signal and the lines (line,) used. Raises LinearError where `strength` is not positive."""
    if strength <= 0:
        raise LinearError(f"network: got strength {strength:g}, wanted a positive number")
    return float(np.clip((strength * acquired.mean() / max(level, 1e-6)) ** 2, *ENDS))


def scan_of(box: NetworkBox) -> NDArray[np.float32]:
    """What a network is told of a scan (2,): the root of lambda, and the share of the lines that it uses."""
    problem = box.columns_problem
    return np.array([problem.regularisation**0.5, problem.acquired.mean()], np.float32)

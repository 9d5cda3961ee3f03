"""What a user would take without a network: zero filling, our exact columns, CG-SENSE and BART's l1-wavelet."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.columns import ColumnInverse, invert_columns, solve_columns
from engines.linear.combine import adaptive
from engines.linear.errors import LinearError
from engines.linear.fourier import to_image
from trt_build.report.cases import Case

__all__ = [
    "Reconstruct",
    "bart_maps",
    "bart_sense",
    "bart_wavelet",
    "column_inverse",
    "linear",
    "sigpy_sense",
    "zero_filled",
]

Complex: TypeAlias = NDArray[np.complex64]
Reconstruct: TypeAlias = Callable[[Case], Complex]  # image (y, x)

ITERATIONS_SENSE = 10
ITERATIONS_WAVELET = 30


def zero_filled(case: Case) -> Complex:
    """Combine what an inverse FFT of the acquired lines gives."""
    return adaptive(to_image(case.hybrid, 1), case.calibration.maps)


def column_inverse(case: Case) -> ColumnInverse:
    """Invert the columns of a case, as the plugin does before its last line has come."""
    problem = case.calibration.problem
    if problem is None:
        raise LinearError(f"{case.name}: got a mask without calibration lines among it, wanted a column problem")
    inverse = invert_columns(problem)
    assert inverse is not None  # noqa: S101 (nobody cancels it)
    return inverse


def linear(case: Case) -> Complex:
    """Solve every column exactly: the companion of the network image."""
    return solve_columns(column_inverse(case), case.hybrid)


def sigpy_sense(case: Case) -> Complex:
    """CG-SENSE of sigpy, ten iterations, with our maps."""
    from sigpy.mri.app import SenseRecon

    maps = np.ascontiguousarray(case.maps)
    weight = case.calibration.regularisation
    image = SenseRecon(case.kspace, maps, lamda=weight, max_iter=ITERATIONS_SENSE, show_pbar=False).run()
    return np.asarray(image, np.complex64)


def bart_maps(case: Case) -> Complex:
    """Sensitivity maps (coil, y, x) of BART's ecalib from the calibration lines."""
    import bartorch

    count = case.calibration.lines.shape[1]
    found = bartorch.tools.ecalib(_tensor(case.kspace)[:, None], maps=1, calib_size=(1, count, count))
    return found.numpy().reshape(case.hybrid.shape)


def bart_sense(case: Case, maps: Complex | None = None) -> Complex:
    """BART's pics -l2, ten iterations."""
    return _pics(case, maps, l2=case.calibration.regularisation, maxiter=ITERATIONS_SENSE)


def bart_wavelet(case: Case, weight: float, maps: Complex | None = None) -> Complex:
    """BART's pics -R W:3:0:weight, thirty iterations of FISTA, with our maps unless others are given."""
    from bartorch import priors

    return _pics(case, maps, regularizers=priors.Wavelet((-1, -2), weight), maxiter=ITERATIONS_WAVELET)


def _pics(case: Case, maps: Complex | None, **asked: Any) -> Complex:
    import bartorch

    given = case.maps if maps is None else maps
    found = bartorch.apps.pics(_tensor(case.kspace)[:, None], _tensor(given)[:, None], **asked)
    return found.numpy().reshape(case.reference.shape)


def _tensor(data: Complex) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(data))

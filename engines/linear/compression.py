"""Coil compression: fewer virtual coils that keep most of the signal."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError

__all__ = ["compress", "compression"]


def compression(
    calibration: NDArray[Any], coils: int | None = None, energy: float | None = None
) -> NDArray[np.complex64]:
    """Matrix (virtual coil, coil) with orthonormal rows, strongest virtual coil first.

    Learned from whitened calibration data (coil, ...): the leading left singular vectors, `coils` of them, or as many
    as keep the share `energy` (0 to 1) of the signal power. Orthonormal rows keep white noise white.
    Buehrer et al., Magn Reson Med 2007; 57:1131. Raises LinearError unless exactly one
    of the two is given and possible.
    """
    have = calibration.shape[0]
    if (coils is None) == (energy is None):
        raise LinearError(f"coil compression: got coils={coils}, energy={energy}; wanted exactly one of the two")
    flat = calibration.reshape(have, -1).astype(np.complex64, copy=False)
    values, vectors = np.linalg.eigh((flat @ flat.conj().T).astype(np.complex128))
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    if energy is not None:
        if not 0 < energy <= 1:
            raise LinearError(f"coil compression: got energy={energy}, wanted a share above 0, at most 1")
        share = np.cumsum(values) / max(values.sum(), np.finfo(float).tiny)
        coils = min(have, 1 + int(np.count_nonzero(share < energy - 1e-12)))
    if coils is None or not 1 <= coils <= have:
        raise LinearError(f"coil compression: got coils={coils}, wanted 1 to {have}")
    return np.ascontiguousarray(vectors[:, :coils].conj().T.astype(np.complex64))


def compress(matrix: NDArray[np.complex64], data: NDArray[Any]) -> NDArray[np.complex64]:
    """Apply (virtual coil, coil) to data (coil, ...) as one matrix product."""
    if data.shape[0] != matrix.shape[1]:
        raise LinearError(f"coil compression: got {data.shape[0]} coils, wanted {matrix.shape[1]}")
    flat = data.reshape(data.shape[0], -1).astype(np.complex64, copy=False)
    return (matrix @ flat).reshape(matrix.shape[0], *data.shape[1:])

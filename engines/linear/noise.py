"""Noise covariance and prewhitening.

After whitening every complex sample has E|n|^2 = 1 (real and imaginary part 1/2 each) and coils are uncorrelated.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError, wanted_shape

__all__ = ["bandwidth_scale", "covariance", "unwhitened", "whiten", "whitener"]

RANK_TOLERANCE: Final = 1e-6


def covariance(noise: NDArray[Any]) -> NDArray[np.complex128]:
    """E[n n^H] (coil, coil) of noise (coil, sample); raises LinearError for fewer samples than coils, or NaN."""
    wanted_shape("noise covariance, noise (coil, sample)", noise, None, None)
    coils, samples = noise.shape
    if samples < coils:
        raise LinearError(f"noise covariance: got {samples} samples of {coils} coils, wanted at least {coils}")
    wide = noise.astype(np.complex128)
    if not np.isfinite(wide).all():
        raise LinearError("noise covariance: got NaN or infinite samples, wanted finite ones; repeat the noise scan")
    return wide @ wide.conj().T / samples


def bandwidth_scale(noise_dwell_us: float, dwell_us: float, relative_noise_bandwidth: float = 1.0) -> float:
    """Factor on the whitener when the scan samples with another dwell time than the noise scan did.

    `relative_noise_bandwidth` is what the receiver's filter leaves of the noise power (Siemens: 0.79).
    Kellman & McVeigh, Magn Reson Med 2005; 54:1439. Raises LinearError unless all three are positive.
    """
    if min(noise_dwell_us, dwell_us, relative_noise_bandwidth) <= 0:
        raise LinearError(
            f"noise bandwidth: got dwell times {noise_dwell_us} and {dwell_us} us, relative bandwidth "
            f"{relative_noise_bandwidth}; wanted positive numbers"
        )
    return float(np.sqrt(dwell_us / noise_dwell_us * relative_noise_bandwidth))


def whitener(cov: NDArray[Any], scale: float = 1.0) -> NDArray[np.complex64]:
    """W (coil, coil) with W C W^H = 1: the Hermitian root, which keeps a coil as near to itself as it can.

    A coil without noise (dead, not connected) has an empty row and column. Combinations of coils that carry no noise
    (two copies of one coil) are left out likewise, so that W C W^H is a projection and nothing is divided by zero.
    `scale` is bandwidth_scale. Pruessmann et al., Magn Reson Med 2001; 46:638. Raises LinearError when no coil is left.
    """
    wanted_shape("whitening, covariance (coil, coil)", cov, None, cov.shape[0] if cov.ndim else None)
    power = np.real(np.diag(cov)).astype(float)
    if not np.isfinite(cov).all() or power.max(initial=0.0) <= 0:
        raise LinearError("whitening: got a covariance that is zero or not finite, wanted noise in one coil or more")
    alive = power > RANK_TOLERANCE**2 * power.max()
    inverse_std = np.where(alive, 1 / np.sqrt(np.where(alive, power, 1)), 0)
    correlation = inverse_std[:, None] * cov * inverse_std
    values, vectors = np.linalg.eigh((correlation + correlation.conj().T) / 2)
    kept = values > RANK_TOLERANCE * values[-1]
    root = (vectors[:, kept] * values[kept] ** -0.5) @ vectors[:, kept].conj().T
    root[~alive] = 0  # not merely small: a dead coil must not bring the last digits of the others
    return (scale * root * inverse_std).astype(np.complex64)


def unwhitened(coils: int) -> NDArray[np.complex64]:
    """Stand in for a whitener when there is no noise scan: the identity (coil, coil), coils stay as they are."""
    return np.eye(coils, dtype=np.complex64)


def whiten(matrix: NDArray[np.complex64], samples: NDArray[Any]) -> NDArray[np.complex64]:
    """Apply (new coil, coil) to samples (..., coil, sample) as one matrix product."""
    if samples.ndim < 2 or samples.shape[-2] != matrix.shape[1]:
        raise LinearError(f"whitening: got samples {samples.shape}, wanted (..., {matrix.shape[1]} coils, samples)")
    return matrix @ samples.astype(np.complex64, copy=False)

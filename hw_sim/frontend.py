"""The receivers: noise that is correlated between coils, gain, and an ADC that can saturate."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FULL_SCALE", "Frontend"]

FULL_SCALE: Final = 1.0  # real and imaginary part of a raw number end here


@dataclass(frozen=True, slots=True, eq=False)
class Frontend:
    """Analogue and digital receive path of all coils."""

    covariance: NDArray[np.complex128]  # (coil, coil) of the noise, shape only
    noise_std: float  # of one complex sample of a mean coil, in units of signal
    gain: float = 1.0  # raw numbers per unit of signal
    full_scale: float = FULL_SCALE

    def receive(self, signal: NDArray[np.complex64], chance: np.random.Generator) -> NDArray[np.complex64]:
        """Raw numbers (readout, coil, sample) for a signal of that shape."""
        raw = np.asarray(signal)
        if self.noise_std:
            raw = signal + self.noise(signal.shape, chance)
        return self.digitise(raw * np.float32(self.gain))

    def digitise(self, raw: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Raw numbers as far as the range of the ADC goes."""
        parts = np.ascontiguousarray(raw).view(np.float32)
        return np.clip(parts, -self.full_scale, self.full_scale).view(np.complex64)

    @property
    def sigma(self) -> NDArray[np.float64]:
        """Standard deviation (coil,) of the noise of one complex raw number."""
        return self.gain * self.noise_std * np.sqrt(np.diag(self.covariance).real)

    def noise(self, shape: tuple[int, ...], chance: np.random.Generator) -> NDArray[np.complex64]:
        """Noise (readout, coil, sample) with the covariance of the array."""
        root = np.linalg.cholesky(self.covariance) * (self.noise_std / 2**0.5)
        white = chance.standard_normal((*shape[:-1], 2 * shape[-1]), np.float32).view(np.complex64)
        return root.astype(np.complex64) @ white

"""Readouts of a head in eight coils, with noise of standard deviation one, for tests of what is odd in them."""

from functools import cache

import numpy as np

from tests.engines.coils import head, loop_coils, noise_like


@cache
def clean(oversampling=2, snr=40.0, lines=128, coils=8):
    """Noise-free k-space (line, coil, sample) of a head; `snr` is that of the brightest pixel of the best coil."""
    image = loop_coils(coils, lines, lines) * head(lines, lines)
    wide = np.zeros((coils, lines, lines * oversampling), np.complex64)
    wide[:, :, (oversampling - 1) * lines // 2 :][:, :, :lines] = image * (snr / np.abs(image).max())
    axes = (1, 2)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(wide, axes), axes=axes, norm="ortho"), axes)
    return np.ascontiguousarray(kspace.swapaxes(0, 1)).astype(np.complex64)


def scanned(seed, **how):
    """One scan of the head, with noise of its own."""
    signal = clean(**how)
    return signal + noise_like(signal.shape, seed)


def chosen(seed, shape):
    """Pick for every readout a coil and a sample, and a phase."""
    rng = np.random.default_rng(seed)
    phase = np.exp(2j * np.pi * rng.random(shape[0])).astype(np.complex64)
    return np.arange(shape[0]), rng.integers(0, shape[1], shape[0]), rng.integers(0, shape[2], shape[0]), phase

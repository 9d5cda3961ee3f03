"""Centred, orthonormal Fourier transforms, and the way of a readout into hybrid space.

Index n // 2 is k = 0 and x = 0; k-space to image is the inverse transform. The last axis goes through FFTW plans kept
per thread, every other axis through SciPy's transform, which is the faster one where samples are strided.
"""

import threading
from collections import OrderedDict
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyfftw
import scipy.fft
from numpy.typing import NDArray

from engines.linear.errors import LinearError, wanted_shape

__all__ = ["centred_crop", "plan", "readout_to_hybrid", "to_image", "to_kspace"]

Complex: TypeAlias = NDArray[np.complex64]
Direction: TypeAlias = Literal["FFTW_FORWARD", "FFTW_BACKWARD"]

PLANS_KEPT: Final = 32
_thread: Final = threading.local()


def plan(rows: int, length: int, direction: Direction, axis: Literal[0, 1] = 1) -> Any:
    """Look up or make an FFTW plan over one axis of (rows, length), not normalised, not centred.

    Its input_array and output_array belong to the calling thread alone; they keep nothing from one use to the next.
    """
    if not hasattr(_thread, "plans"):
        _thread.plans = OrderedDict()
    plans = _thread.plans
    key = (rows, length, direction, axis)
    if key not in plans:
        source, target = _room(rows, length), _room(rows, length)
        plans[key] = pyfftw.FFTW(source, target, axes=(axis,), direction=direction, flags=("FFTW_ESTIMATE",), threads=1)
        while len(plans) > PLANS_KEPT:
            plans.popitem(last=False)
    plans.move_to_end(key)
    return plans[key]


def _room(rows: int, length: int) -> Any:
    """Rows an odd number of cache lines apart: a power of two makes transforms down the columns ten times as slow."""
    return pyfftw.empty_aligned((rows, length + (8 - length) % 16), np.complex64)[:, :length]


def _last_axis(data: NDArray[Any], direction: Direction) -> Complex:
    length = data.shape[-1]
    half, rest = length // 2, length - length // 2
    rows = data.shape[-2] if data.ndim > 1 else 1
    blocks = data.reshape(-1, rows, length)
    out = np.empty(blocks.shape, np.complex64)
    fft = plan(rows, length, direction)
    source, target = fft.input_array, fft.output_array
    scale = np.float32(length**-0.5)
    for block, into in zip(blocks, out, strict=True):
        source[:, :rest] = block[:, half:]
        source[:, rest:] = block[:, :half]
        fft.execute()
        np.multiply(target[:, rest:], scale, out=into[:, :half])
        np.multiply(target[:, :rest], scale, out=into[:, half:])
    return out.reshape(data.shape)


def _other_axis(data: NDArray[Any], axis: int, direction: Direction, workers: int) -> Complex:
    transform = scipy.fft.fft if direction == "FFTW_FORWARD" else scipy.fft.ifft
    shifted = np.fft.ifftshift(data, axis).astype(np.complex64, copy=False)
    spectrum = transform(shifted, axis=axis, norm="ortho", overwrite_x=True, workers=workers)
    return np.fft.fftshift(spectrum, axis)


def _transform(data: NDArray[Any], axis: int, direction: Direction, workers: int) -> Complex:
    if not -data.ndim <= axis < data.ndim:
        raise LinearError(f"Fourier transform: got axis {axis} of an array of shape {data.shape}")
    axis %= data.ndim
    if data.size == 0:
        return np.zeros(data.shape, np.complex64)
    if axis == data.ndim - 1:
        return _last_axis(data, direction)
    return _other_axis(data, axis, direction, workers)


def to_image(data: NDArray[Any], axis: int, workers: int = 1) -> Complex:
    """k-space to image along one axis: the centred, orthonormal inverse transform; the result is a new array.

    `workers` threads share the work where the axis is not the last one. Raises LinearError for an axis out of range.
    """
    return _transform(data, axis, "FFTW_BACKWARD", workers)


def to_kspace(data: NDArray[Any], axis: int, workers: int = 1) -> Complex:
    """Image to k-space along one axis: the inverse, and the adjoint, of to_image."""
    return _transform(data, axis, "FFTW_FORWARD", workers)


def centred_crop(data: NDArray[Any], axis: int, length: int) -> NDArray[Any]:
    """Keep `length` samples around the centre of an axis (a view); raises LinearError when there are fewer."""
    have = data.shape[axis]
    if length > have:
        raise LinearError(f"crop of axis {axis}: got {have} samples, wanted at least {length}")
    start = have // 2 - length // 2
    index = [slice(None)] * data.ndim
    index[axis] = slice(start, start + length)
    return data[tuple(index)]


def _check_readout(samples: NDArray[Any], encoded: int, centre_sample: int, kept: range, recon: int) -> None:
    wanted_shape("readout to hybrid space, samples (readout, coil, sample)", samples, None, None, None)
    if recon > encoded:
        raise LinearError(f"readout to hybrid space: got {recon} pixels out of {encoded} encoded samples")
    if len(kept) == 0:
        raise LinearError(f"readout to hybrid space: nothing is left of {samples.shape[2]} samples after discarding")
    before, after = centre_sample - kept.start, kept.stop - 1 - centre_sample
    if before > encoded // 2 or after > (encoded - 1) // 2:
        raise LinearError(
            f"readout to hybrid space: samples {kept.start} to {kept.stop - 1} around centre {centre_sample} do not "
            f"fit an encoded matrix of {encoded}: at most {encoded // 2} before and {(encoded - 1) // 2} after it do"
        )


def readout_to_hybrid(
    samples: NDArray[Any],
    encoded: int,
    recon: int,
    centre_sample: int | None = None,
    discard: tuple[int, int] = (0, 0),
    kspace_sign: Literal["positive", "negative"] = "positive",
) -> Complex:
    """Bring readouts (readout, coil, sample) into image space along x and cut off the oversampling.

    `encoded` is the length of the encoded matrix along x, `recon` the pixels to keep: (readout, coil, recon). Sample
    `centre_sample` (default: the middle one) is k = 0: an asymmetric echo lands where it belongs, what was not
    sampled is zero; `discard` says how many samples at the start and the end are no data. A scanner whose k-space has
    the negative sign gets the forward transform. Noise keeps its standard deviation. Raises LinearError when samples do
    not fit the encoded matrix.
    """
    count, coils, have = samples.shape if samples.ndim == 3 else (0, 0, 0)
    centre = have // 2 if centre_sample is None else centre_sample
    kept = range(discard[0], have - discard[1])
    _check_readout(samples, encoded, centre, kept, recon)
    out = np.empty((count, coils, recon), np.complex64)
    fft = plan(coils, encoded, "FFTW_BACKWARD" if kspace_sign == "positive" else "FFTW_FORWARD")
    source, target = fft.input_array, fft.output_array
    scale, half = np.float32(encoded**-0.5), recon // 2
    middle = min(max(centre, kept.start), kept.stop)  # all of it may lie on one side of the centre
    left, right = middle - kept.start, kept.stop - middle
    if left + right < encoded:
        source[:] = 0
    for readout, into in zip(samples, out, strict=True):
        source[:, middle - centre : middle - centre + right] = readout[:, middle : kept.stop]
        if left:
            end = encoded + middle - centre
            source[:, end - left : end] = readout[:, kept.start : middle]
        fft.execute()
        np.multiply(target[:, encoded - half :], scale, out=into[:, :half])
        np.multiply(target[:, : recon - half], scale, out=into[:, half:])
    return out

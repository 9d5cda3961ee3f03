"""Partial Fourier: the part of k-space that was left out, from the part on the other side and a smooth phase."""

from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.linear.fourier import to_image, to_kspace
from engines.linear.masks import step_of

__all__ = ["PartialFourier", "complete", "homodyne", "missing_part", "pocs"]

PartialFourier: TypeAlias = Literal["pocs", "homodyne", "zero_filled"]
UNLIKELY: Final = 8  # lines of which chance draws all on the same side once in 128 times


def missing_part(acquired: NDArray[np.bool_]) -> slice | None:
    """Lines at one end of a mask (line,) that were left out on purpose; None where k-space is sampled to both ends.

    A gap of less than the widest step between acquired lines is undersampling, not partial Fourier, and so is one that
    lines drawn by chance may have: with fewer than UNLIKELY lines on one side beyond the last one on the other. Raises
    LinearError when the centre of k-space is not among the lines from first to last.
    """
    lines = np.flatnonzero(acquired)
    count = len(acquired)
    if len(lines) == 0 or not lines[0] <= count // 2 <= lines[-1]:
        raise LinearError(f"partial Fourier: got lines {lines.tolist()}, wanted the centre {count // 2} within them")
    step = int(np.diff(lines).max(initial=1))
    before, after = int(lines[0]), count - 1 - int(lines[-1])
    if max(before, after) < step or before == after:
        return None
    mirrored = 2 * (count // 2) - lines[::-1]
    beyond = lines > mirrored[-1] if before > after else lines < mirrored[0]
    if np.count_nonzero(beyond) < UNLIKELY and step_of(acquired) is None:
        return None
    return slice(0, before) if before > after else slice(count - after, count)


def _along(weights: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    shape = [1] * dimensions
    shape[axis] = -1
    return weights.reshape(shape)


def _symmetric_reach(missing: slice, count: int) -> int:
    """Lines on either side of the centre that are there with their mirror image."""
    centre = count // 2
    reach = centre - missing.stop if missing.start == 0 else missing.start - 1 - centre
    if reach < 1:
        raise LinearError(f"partial Fourier: got {reach} symmetric lines at the centre of {count}, wanted 1 or more")
    return reach


def _smooth_phase(kspace: NDArray[np.complex64], missing: slice, axis: int) -> NDArray[np.complex64]:
    """Unit phase factors of the image from the symmetric lines, under a Hann window."""
    count = kspace.shape[axis]
    reach = _symmetric_reach(missing, count)
    distance = np.abs(np.arange(count) - count // 2)
    window = np.where(distance <= reach, np.cos(np.pi / 2 * distance / (reach + 1)) ** 2, 0).astype(np.float32)
    low = to_image(kspace * _along(window, axis, kspace.ndim), axis)
    size = np.abs(low)
    return np.divide(low, size, out=np.ones_like(low), where=size > 0)


def pocs(kspace: NDArray[Any], missing: slice, axis: int, iterations: int = 10) -> NDArray[np.complex64]:
    """Image (...) from k-space (...) along one axis, zero in `missing`: projections on the data and on the phase.

    The image keeps its own phase where data say so. Haacke et al., J Magn Reson 1991; 92:126. Raises LinearError when
    no symmetric line is left.
    """
    have = np.ones(kspace.shape[axis], np.bool_)
    have[missing] = False
    measured = _along(have, axis, kspace.ndim)
    phase = _smooth_phase(kspace, missing, axis)
    given = (kspace * measured).astype(np.complex64)
    image = to_image(given, axis)
    for _ in range(iterations):
        guess = to_kspace(np.maximum((image * phase.conj()).real, 0) * phase, axis)
        image = to_image(np.where(measured, given, guess), axis)
    return image


def homodyne(kspace: NDArray[Any], missing: slice, axis: int) -> NDArray[np.complex64]:
    """Image (...) from k-space (...) along one axis, zero in `missing`: lines without a mirror image count twice.

    The image has the smooth phase of the symmetric lines. Noll, Nishimura & Macovski, IEEE Trans Med Imaging 1991;
    10:154. Raises LinearError when no symmetric line is left.
    """
    count = kspace.shape[axis]
    reach = _symmetric_reach(missing, count)
    offset = np.arange(count) - count // 2
    side = 1 if missing.start == 0 else -1  # where the lines without a mirror image are
    weights = (1 + np.clip(side * offset / (reach + 0.5), -1, 1)).astype(np.float32)
    weights[missing] = 0
    phase = _smooth_phase(kspace, missing, axis)
    weighted = to_image(kspace * _along(weights, axis, kspace.ndim), axis)
    return (weighted * phase.conj()).real * phase


def complete(
    image: NDArray[Any], acquired: NDArray[np.bool_], method: PartialFourier = "pocs", axis: int = 0
) -> NDArray[np.complex64]:
    """Complete a reconstructed image (y, x) whose lines (line,) along `axis` were acquired by partial Fourier.

    What unfolding or the column solver put into the part left out is replaced. The image itself comes back where
    k-space was sampled to both ends, or for "zero_filled". Raises LinearError for lines that do not hold the centre.
    """
    missing = None if method == "zero_filled" else missing_part(acquired)
    if missing is None:
        return image.astype(np.complex64, copy=False)
    kspace = to_kspace(image, axis)
    kspace[(slice(None),) * (axis % image.ndim) + (missing,)] = 0
    return pocs(kspace, missing, axis) if method == "pocs" else homodyne(kspace, missing, axis)

"""A 3-D frame whose partitions are all sampled, as one 2-D problem.

After an FFT along encode step 2 every column of every partition is a problem of its own, so that whatever solves a
slice by its columns solves the slab.
"""

from concurrent.futures import Executor
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from engines.halves import both
from engines.linear.calibration import Calibration, ready_for
from engines.linear.combine import rss
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.fourier import centred_crop, to_image, to_kspace
from engines.linear.frame import FEWEST_CALIBRATION_LINES
from engines.linear.maps import covered, normalised, taper, walsh
from engines.linear.masks import central_block
from engines.linear.resample import interpolation, upsample

__all__ = ["flatten", "learn_slab", "own_slab", "unflatten"]

Complex: TypeAlias = NDArray[np.complex64]
Mask: TypeAlias = NDArray[np.bool_]
POINTS: Final = 20  # along each axis of the coarse grid on which maps are estimated
THRESHOLD: Final = 0.03  # of the slab's bright signal: where there is less, there is nothing
MARGIN: Final = 0.03  # of the field of view around that
TAPERED: Final = 0.44  # share of the samples that a taper leaves, in power


def flatten(hybrid: Complex, acquired: Mask, helpers: Executor | None = None) -> tuple[Complex, Mask, str]:
    """Lines (coil, e1, z * x) and mask (e1,) of a frame (coil, e2, e1, x) with `acquired` (e2, e1), and what is lost.

    A line that lacks partitions which others have is left out; where that would be most lines, zeros stand for them.
    One of `helpers` helps, if one is free.
    """
    coils, partitions, count, width = hybrid.shape
    came = np.asarray(acquired.any(axis=0))
    whole = np.asarray(acquired[acquired.any(axis=1)].all(axis=0)) & came
    lost = ""
    if 2 * np.count_nonzero(whole) <= np.count_nonzero(came):
        lost = "" if np.array_equal(whole, came) else "partitions that did not come are filled with zeros"
        whole = came
    elif not np.array_equal(whole, came):
        lost = f"{np.count_nonzero(came & ~whole)} lines lack partitions and were left out"
    flat = np.zeros((coils, count, partitions, width), np.complex64)
    lines = np.flatnonzero(whole)

    def spread(some: slice) -> None:
        for given, made in zip(hybrid[some], flat[some], strict=True):
            made[lines] = to_image(given[:, lines], 0).swapaxes(0, 1)

    both(lambda: spread(slice(0, coils // 2)), lambda: spread(slice(coils // 2, None)), helpers)
    return flat.reshape(coils, count, partitions * width), whole, lost


def unflatten(image: NDArray[Any], partitions: int) -> NDArray[Any]:
    """Slab (z, y, x) from its image (y, z * x)."""
    return np.ascontiguousarray(image.reshape(len(image), partitions, -1).swapaxes(0, 1))


def learn_slab(
    lines: NDArray[Any], first_line: int, expected: Mask, regularisation: float = 0.01, noise_std: float = 0.0
) -> Calibration:
    """Maps and columns from consecutive calibration lines (coil, e2, line, x) in hybrid space, all partitions there.

    `expected` (line,) says which lines the frames to come should hold, `noise_std` the noise of the lines (1 after
    whitening, 0 where it is not known). Maps are Walsh's, estimated in three dimensions at low resolution, so that
    they fit together from partition to partition. Raises LinearError when there is no signal.
    """
    wanted_shape("slab, calibration lines (coil, e2, line, x)", lines, None, None, None, None)
    coils, partitions, count, width = lines.shape
    whole = (partitions, len(expected), width)
    if not 0 <= first_line <= len(expected) - count:
        raise LinearError(f"slab: got {count} calibration lines from {first_line}, wanted them in {len(expected)}")
    block, ky = _block(lines, first_line, len(expected))
    maps = normalised(_upsampled(walsh(_images(block, ky, whole), window=3), whole))
    smooth = block
    for axis, k in ((1, _steps(block.shape[1])), (2, ky), (3, _steps(block.shape[3]))):
        shape = [1] * 4
        shape[axis] = len(k)
        smooth = smooth * taper(k).reshape(shape).astype(np.float32)
    signal = gaussian_filter(rss(_images(smooth, ky, whole)), 0.5)
    floor = 1.5 * noise_std * float(np.sqrt(coils * TAPERED**3 * np.prod(block.shape[1:]) / np.prod(whole)))
    there = _upsampled(covered(signal, THRESHOLD, MARGIN, floor).astype(np.complex64), whole).real > 0.5
    flat = to_image(lines, 1).swapaxes(1, 2).reshape(coils, count, partitions * width)
    made = Calibration(_flat(maps), _flat(there[None])[0], flat, first_line, regularisation)
    return ready_for(made, expected)


def own_slab(hybrid: Complex, acquired: Mask) -> Calibration | None:
    """What a slab's own central lines (coil, e2, e1, x) teach, where there are enough of them and of coils."""
    _, lines, _ = flatten(hybrid, acquired)
    block = central_block(lines)
    if len(hybrid) < 2 or block.stop - block.start < FEWEST_CALIBRATION_LINES or not hybrid[:, :, block].any():
        return None
    return learn_slab(hybrid[:, :, block], block.start, lines)


def _steps(count: int) -> NDArray[np.intp]:
    return np.arange(count) - count // 2


def _block(lines: NDArray[Any], first_line: int, count: int) -> tuple[Complex, NDArray[np.intp]]:
    """K-space (coil, kz, ky, kx) as long along all axes as there are lines, and the ky of its lines."""
    ky = np.arange(first_line, first_line + lines.shape[2]) - count // 2
    near = (ky >= -(POINTS // 2)) & (ky < POINTS - POINTS // 2)
    reach = int(np.count_nonzero(near))
    some = lines[:, :, near]
    cropped = centred_crop(some, 1, min(reach, some.shape[1]))
    return centred_crop(to_kspace(cropped, -1), -1, min(reach, some.shape[3])), ky[near]


def _images(block: Complex, ky: NDArray[np.intp], whole: tuple[int, int, int]) -> Complex:
    """Coil images (coil, z, y, x) of a block of k-space on the coarse grid."""
    grid = tuple(min(POINTS, size) for size in whole)
    out = np.zeros((len(block), *grid), np.complex64)
    kz, kx = _steps(block.shape[1]) + grid[0] // 2, _steps(block.shape[3]) + grid[2] // 2
    out[np.ix_(np.arange(len(block)), kz, ky + grid[1] // 2, kx)] = block
    for axis in (1, 2, 3):
        out = to_image(out, axis)
    return out * np.float32(np.sqrt(np.prod(grid) / np.prod(whole)))


def _upsampled(coarse: Complex, whole: tuple[int, int, int]) -> Complex:
    """Interpolate (…, z, y, x) from the coarse grid to the whole matrix."""
    along = interpolation(whole[0], coarse.shape[-3])
    flat = coarse.reshape(*coarse.shape[:-2], -1)
    layers = (along @ flat.real + 1j * (along @ flat.imag)).astype(np.complex64)
    return upsample(layers.reshape(*coarse.shape[:-3], whole[0], *coarse.shape[-2:]), whole[1], whole[2])


def _flat(volume: NDArray[Any]) -> NDArray[Any]:
    """(coil, y, z * x) of (coil, z, y, x)."""
    coils, partitions, lines, width = volume.shape
    return np.ascontiguousarray(volume.swapaxes(1, 2)).reshape(coils, lines, partitions * width)

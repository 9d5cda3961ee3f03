"""Coil sensitivity maps from calibration lines, quickly: Walsh's local principal component at low resolution.

Maps have sum over coils |S|^2 = 1 everywhere; where there is no signal they continue the nearest tissue smoothly, and
support() says where that is.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter, uniform_filter

from engines.linear.combine import rss
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.fourier import centred_crop, to_image, to_kspace
from engines.linear.resample import upsample

__all__ = [
    "anchored",
    "bounding_box",
    "calibration_block",
    "covered",
    "low_resolution",
    "normalised",
    "support",
    "taper",
    "walsh",
    "walsh_maps",
]

TAPER: Final = 4.5  # beta of Kaiser's window: ringing below 1 %, over the fewest pixels
FAR: Final = 1e-2  # weight of distant tissue against near tissue, as high as it does no harm where there is signal


def calibration_block(calibration: NDArray[Any], lines: int, first_line: int) -> NDArray[np.complex64]:
    """Square block of k-space (coil, line, kx) from calibration lines (coil, line, x), as long along kx as along ky.

    `lines` is the length of the full phase-encode matrix, `first_line` the row of calibration line 0 in it. Raises
    LinearError when the lines do not lie in the matrix.
    """
    wanted_shape("calibration lines (coil, line, x)", calibration, None, None, None)
    _, count, width = calibration.shape
    if count == 0 or not 0 <= first_line <= lines - count:
        raise LinearError(f"calibration lines: got {count} lines from {first_line}, wanted them in 0 to {lines - 1}")
    frequencies: NDArray[np.complex64] = centred_crop(to_kspace(calibration, -1), -1, min(count, width))
    return frequencies


def low_resolution(
    calibration: NDArray[Any], lines: int, first_line: int, grid: tuple[int, int], *, tapered: bool = False
) -> NDArray[np.complex64]:
    """Coil images (coil, *grid) of consecutive calibration lines (coil, line, x) in hybrid space, at low resolution.

    What calibration_block takes and raises; `tapered` trades resolution for less ringing (TAPER).
    """
    block = calibration_block(calibration, lines, first_line)
    coils, count, reach = block.shape
    ky = np.arange(first_line, first_line + count) - lines // 2
    kx = np.arange(reach) - reach // 2
    keep_y = (ky >= -(grid[0] // 2)) & (ky < grid[0] - grid[0] // 2)
    keep_x = (kx >= -(grid[1] // 2)) & (kx < grid[1] - grid[1] // 2)
    if tapered:
        block = block * np.outer(taper(ky), taper(kx)).astype(np.float32)
    out = np.zeros((coils, *grid), np.complex64)
    out[:, (ky[keep_y] + grid[0] // 2)[:, None], kx[keep_x] + grid[1] // 2] = block[:, keep_y][:, :, keep_x]
    scale = np.float32(np.sqrt(grid[0] * grid[1] / (lines * calibration.shape[-1])))
    return to_image(to_image(out, 2), 1) * scale


def taper(k: NDArray[Any]) -> NDArray[np.float64]:
    """Kaiser's window (k,) over steps of k-space that lie about 0."""
    edge = np.abs(k).max() + 0.5
    return np.i0(TAPER * np.sqrt(1 - (k / edge) ** 2)) / np.i0(TAPER)


def _local_covariance(images: NDArray[np.complex64], window: int) -> NDArray[np.complex64]:
    """Coil covariance (*grid, coil, coil) in a window, with a little of what lies farther for empty places."""
    coils, *grid = images.shape
    first, second = np.triu_indices(coils)
    products = images[first] * images[second].conj()
    planes = products.view(np.float32).reshape(-1, *grid, 2)
    near = uniform_filter(planes, (0, *[window] * len(grid), 0), mode="nearest")
    wide = (0, *[max(grid) // 4 | 1] * len(grid), 0)
    far = uniform_filter(uniform_filter(planes, wide, mode="nearest"), wide, mode="nearest")
    near += FAR * far
    smooth = np.moveaxis(near.view(np.complex64)[..., 0], 0, -1)
    full = np.empty((*grid, coils, coils), np.complex64)
    full[..., second, first] = smooth.conj()
    full[..., first, second] = smooth
    return full


def _principal(
    matrices: NDArray[np.complex64], start: NDArray[np.complex64], squarings: int = 3
) -> NDArray[np.complex64]:
    """Dominant eigenvector (..., coil) of Hermitian matrices by the power method, on a power of the matrix itself."""
    for _ in range(squarings):
        matrices = matrices / np.trace(matrices, axis1=-2, axis2=-1).real[..., None, None]
        matrices = matrices @ matrices
    vector = matrices @ start[..., None]
    vector = matrices @ (vector / np.linalg.norm(vector, axis=-2, keepdims=True))
    return (vector / np.linalg.norm(vector, axis=-2, keepdims=True))[..., 0]


def anchored(vector: NDArray[Any]) -> NDArray[np.complex64]:
    """The same eigenvector (coil,) with its largest element real and positive, so that slices agree in phase."""
    largest = vector[np.argmax(np.abs(vector))]
    return (vector * (largest.conj() / np.abs(largest))).astype(np.complex64)


def normalised(maps: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The same maps (coil, ...) with sum |S|^2 = 1; zero stays zero."""
    power = rss(maps)
    return maps * np.divide(1, power, out=np.zeros_like(power), where=power > 0)


def walsh_maps(
    calibration: NDArray[Any], lines: int, first_line: int, window: int = 3, points: int = 32
) -> NDArray[np.complex64]:
    """Sensitivity maps (coil, lines, x) from consecutive calibration lines (coil, line, x) in hybrid space.

    The dominant eigenvector of the coil covariance in a window of `window` coarse pixels, on a coarse grid of at most
    `points` x `points`, interpolated to the full matrix. The phase is that of the strongest virtual coil, so maps are
    smooth in phase too. Walsh et al., Magn Reson Med 2000; 43:682. Raises LinearError when there is no signal.
    """
    grid = (min(points, lines), min(points, calibration.shape[-1]))
    local = walsh(low_resolution(calibration, lines, first_line, grid), window)
    return normalised(upsample(local, lines, calibration.shape[-1]))


def walsh(images: NDArray[np.complex64], window: int = 3) -> NDArray[np.complex64]:
    """Sensitivities (coil, *grid) from coil images (coil, *grid) of two or three dimensions, on their own grid.

    What walsh_maps says and raises.
    """
    flat = images.reshape(len(images), -1)
    values, vectors = np.linalg.eigh(flat @ flat.conj().T)
    if not values[-1] > 0:
        raise LinearError(
            "sensitivity maps: the calibration lines are zero or not finite; wanted signal in one coil or more"
        )
    images = images / np.float32(np.sqrt(values[-1] / flat.shape[1]))
    strongest = anchored(vectors[:, -1])
    covariances = _local_covariance(images, window)
    local = _principal(covariances, np.broadcast_to(strongest, covariances.shape[:-1]))
    reference = local @ strongest.conj()
    size = np.abs(reference)
    local = local * np.where(size > 0, reference.conj() / np.where(size > 0, size, 1), 1)[..., None]
    return np.moveaxis(local, -1, 0)


def support(
    calibration: NDArray[Any],
    lines: int,
    first_line: int,
    threshold: float = 0.02,
    margin: float = 0.015,
    noise_std: float = 0.0,
) -> NDArray[np.bool_]:
    """Where the object is (lines, x): low-resolution signal above `threshold` of its 98th percentile, holes filled.

    `margin` is added around it, as a share of the field of view. `noise_std` (1 after whitening) raises the threshold
    above the noise of the calibration lines. Ringing is kept down by a taper of k-space.
    """
    coils, count, width = calibration.shape
    grid = (min(64, lines), min(64, width))
    signal = gaussian_filter(rss(low_resolution(calibration, lines, first_line, grid, tapered=True)), 0.5)
    window = 0.44 * count * 0.44 * min(count, grid[1])  # samples that the two tapers leave, in power
    floor = 1.5 * noise_std * np.sqrt(coils * window / (lines * width))
    return upsample(covered(signal, threshold, margin, floor).astype(np.complex64), lines, width).real > 0.5


def covered(
    signal: NDArray[np.floating[Any]], threshold: float, margin: float, floor: float = 0.0
) -> NDArray[np.bool_]:
    """Where a signal (*grid) is above `threshold` of its 98th percentile and above `floor`: holes filled, and grown."""
    inside = binary_fill_holes(signal > max(threshold * np.percentile(signal, 98), floor))
    return np.asarray(binary_dilation(inside, iterations=max(1, round(margin * max(signal.shape)))))


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Smallest box (rows, columns) that holds all of a mask (y, x); the whole matrix for an empty mask."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)

"""ESPIRiT: sensitivity maps as eigenvectors of what calibration data say about neighbours in k-space.

The kernels that span the row space of the calibration matrix make, at each pixel, a Hermitian matrix over coils whose
eigenvector of eigenvalue 1 is the sensitivity. That matrix is a polynomial of the kernel's size, so it is evaluated on
a coarse grid and the maps are interpolated.
"""

from concurrent.futures import Executor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.halves import each
from engines.linear.errors import LinearError
from engines.linear.fourier import to_image
from engines.linear.maps import anchored, calibration_block, normalised
from engines.linear.resample import upsample

__all__ = ["calibration_matrix", "espirit_maps", "espirit_maps_and_values"]

SUBSPACE: Final = 90, 0.25  # eigenvectors that are looked for, at least, and as a share of all; see _leading
PRODUCTS: Final = 3
BEYOND: Final = 4.0  # times that the first one left out is smaller than the smallest one kept
SQUARINGS, STEPS = 4, 3  # see _largest
TINY: Final = np.finfo(np.float32).tiny


def calibration_matrix(block: NDArray[Any], kernel: int) -> NDArray[np.complex64]:
    """All windows (window, coil * kernel * kernel) of a block of k-space (coil, ky, kx); LinearError if none fits."""
    coils, lines, width = block.shape
    if kernel > min(lines, width):
        raise LinearError(f"ESPIRiT: got a block of {lines} x {width} samples, wanted at least {kernel} x {kernel}")
    windows = np.lib.stride_tricks.sliding_window_view(block, (kernel, kernel), axis=(1, 2))
    return windows.transpose(1, 2, 0, 3, 4).reshape(-1, coils * kernel * kernel).astype(np.complex64)


def _row_space(matrix: NDArray[np.complex64], threshold: float) -> NDArray[np.complex64]:
    """Orthonormal rows that windows are combinations of, by way of the smaller one of the two Gram matrices."""
    wide = matrix.shape[0] < matrix.shape[1]
    gram = matrix @ matrix.conj().T if wide else matrix.conj().T @ matrix
    if not 0 < np.trace(gram).real < np.inf:
        raise LinearError("ESPIRiT: the calibration lines are zero or not finite; wanted signal in one coil or more")
    values, vectors = _leading(gram, threshold**2)
    rows = vectors.conj().T
    return (rows @ matrix / np.sqrt(values[:, None]) if wide else rows).astype(np.complex64)


def _leading(gram: NDArray[np.complex64], share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Eigenvalues above a `share` of the largest, and their vectors (row, vector), of a positive matrix.

    From products with a random subspace, a quarter of the time of all eigenvectors (Halko, Martinsson & Tropp, SIAM Rev
    2011; 53:217); all of them where the subspace cannot be told to hold what is wanted.
    """
    size, (least, part) = len(gram), SUBSPACE
    wanted = max(least, round(part * size))
    if wanted < size:
        basis = np.random.default_rng(0).standard_normal((size, 2 * wanted), np.float32).view(np.complex64)
        for _ in range(PRODUCTS):
            basis = np.linalg.qr(gram @ basis)[0]
        values, turned = np.linalg.eigh(basis.conj().T @ (gram @ basis))
        large = values > share * values[-1]
        if values[0] * BEYOND <= share * values[-1]:
            return values[large], basis @ turned[:, large]
    values, vectors = np.linalg.eigh(gram.astype(np.complex128))
    large = values > share * values[-1]
    return values[large], vectors[:, large]


def _pixel_matrices(kernels: NDArray[np.complex64], grid: tuple[int, int]) -> NDArray[np.complex64]:
    """(y, x, coil, coil): sum over kernels (kernel, coil, ky, kx) of k k^H at each pixel of the grid, largest value 1.

    k k^H needs the kernels' cross-correlations only, so pixels are reached by one transform for each pair of coils.
    """
    _, coils, size, _ = kernels.shape
    span = 2 * size - 1
    padded = np.zeros((*kernels.shape[:2], span, span), np.complex64)
    padded[:, :, :size, :size] = kernels
    spectra = np.fft.fft2(padded).astype(np.complex64).transpose(2, 3, 1, 0)
    correlation = np.fft.ifft2(spectra @ spectra.conj().swapaxes(-1, -2), axes=(0, 1))
    lags = np.fft.fftshift(correlation, (0, 1)).transpose(2, 3, 0, 1)
    out = np.zeros((coils, coils, *grid), np.complex64)
    top, left = grid[0] // 2 - (size - 1), grid[1] // 2 - (size - 1)
    out[:, :, top : top + span, left : left + span] = lags
    pixels = to_image(to_image(out, 3), 2) * np.float32(np.sqrt(grid[0] * grid[1]) / size**2)
    return pixels.transpose(2, 3, 0, 1)


def _largest(matrices: NDArray[np.complex64]) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    """Largest eigenvalue (y, x) and its eigenvector (y, x, coil) of positive matrices (y, x, coil, coil).

    By squaring and then by the power method, which take a third of the time of all eigenvectors: an eigenvalue of 0.9
    of the largest has fallen to 0.001 of it. Where two are alike, as beside the object, the vector is one between
    theirs.
    """
    power = matrices
    for _ in range(SQUARINGS):
        power = power @ power
        power /= np.maximum(np.einsum("yxcc->yx", power).real, TINY)[..., None, None]
    widest = np.einsum("yxcc->yxc", power).real.argmax(-1)
    vectors = np.take_along_axis(power, widest[..., None, None], -1)
    for _ in range(STEPS):
        vectors = power @ (vectors / np.maximum(np.linalg.norm(vectors, axis=-2, keepdims=True), TINY))
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-2, keepdims=True), TINY)
    values = (vectors.conj() * (matrices @ vectors)).sum((-2, -1)).real
    return values, vectors[..., 0]


def espirit_maps_and_values(
    calibration: NDArray[Any],
    lines: int,
    first_line: int,
    kernel: int = 6,
    threshold: float = 0.02,
    workers: Executor | None = None,
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    """Maps (coil, lines, x) with sum |S|^2 = 1, and the eigenvalue (lines, x), near 1 where there is signal.

    From consecutive calibration lines (coil, line, x) in hybrid space; `kernel` is the window in k-space, `threshold`
    the singular value, as a share of the largest, below which a window is noise. Uecker et al., Magn Reson Med 2014;
    71:990. One of `workers` helps, if one is free. Raises LinearError when there are fewer lines than the kernel has,
    or no signal.
    """
    block = calibration_block(calibration, lines, first_line)
    coils, width = block.shape[0], calibration.shape[-1]
    matrix = calibration_matrix(block, kernel)
    kept = _row_space(matrix, threshold).reshape(-1, coils, kernel, kernel)
    grid = (min(lines, max(48, 4 * kernel)), min(width, max(48, 4 * kernel)))
    halves = each(_largest, np.array_split(_pixel_matrices(kept, grid), 2), workers)
    sizes, local = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    strongest = anchored(np.linalg.eigh(np.einsum("yxc,yxd->cd", local, local.conj()))[1][:, -1])
    reference = local @ strongest.conj()
    local = local * np.exp(-1j * np.angle(reference))[..., None]
    some = np.array_split(local.transpose(2, 0, 1), 2)
    maps = np.concatenate(each(lambda coils: upsample(coils, lines, width), some, workers))
    return normalised(maps), upsample(sizes[None], lines, width)[0].real.copy()


def espirit_maps(
    calibration: NDArray[Any],
    lines: int,
    first_line: int,
    kernel: int = 6,
    threshold: float = 0.02,
    workers: Executor | None = None,
) -> NDArray[np.complex64]:
    """Maps (coil, lines, x) alone, in place of walsh_maps; see espirit_maps_and_values."""
    return espirit_maps_and_values(calibration, lines, first_line, kernel, threshold, workers)[0]

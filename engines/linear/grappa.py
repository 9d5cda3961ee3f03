"""GRAPPA in hybrid space: missing lines from their neighbours in all coils, with weights made before the lines come.

Needs no sensitivity maps, so it works when the field of view is smaller than the object. Weights are fitted in k-space
and then transformed along the readout, so that applying them costs one small matrix product for each column.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError, wanted_shape
from engines.linear.fourier import to_kspace
from engines.linear.masks import grid_of

__all__ = ["GrappaWeights", "fill_lines", "fit_grappa", "sampling_grid"]


@dataclass(frozen=True, slots=True, eq=False)
class GrappaWeights:
    """How to make the lines between two acquired ones, for every column."""

    acceleration: int
    sources: tuple[int, ...]  # offsets of the acquired lines used, in steps of the acceleration; 0 is the line before
    weights: NDArray[np.complex64]  # (x, missing line * coil, source * coil)


def sampling_grid(acquired: NDArray[np.bool_]) -> tuple[int, int]:
    """(acceleration, first line) of the grid of lines (line,) as grid_of has it; LinearError for irregular masks."""
    grid = grid_of(acquired)
    if grid is None:
        lines = np.flatnonzero(acquired).tolist()
        raise LinearError(f"GRAPPA: got lines {lines}, wanted every R-th line; use CG-SENSE for this mask")
    return grid


def _windows(
    block: NDArray[np.complex64], acceleration: int, sources: tuple[int, ...], kernel: int
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Training pairs from k-space (coil, line, kx): (example, source * coil * kernel) and (example, missing * coil)."""
    coils, lines, width = block.shape
    wide = np.lib.stride_tricks.sliding_window_view(block, kernel, axis=2)
    before, after = -sources[0] * acceleration, sources[-1] * acceleration
    starts = np.arange(before, lines - max(after, acceleration - 1))
    given = np.stack([wide[:, starts + step * acceleration] for step in sources])
    half = kernel // 2
    inside = slice(half, width - (kernel - 1 - half))
    wanted = np.stack([block[:, starts + gap, inside] for gap in range(1, acceleration)])
    examples = len(starts) * wide.shape[2]
    return (
        given.transpose(2, 3, 0, 1, 4).reshape(examples, len(sources) * coils * kernel),
        wanted.transpose(2, 3, 0, 1).reshape(examples, (acceleration - 1) * coils),
    )


def _source_lines(lines: int, acceleration: int, wanted: int) -> tuple[int, ...]:
    """As many source lines as wanted, or fewer where the calibration lines are too few for their span."""
    for count in range(wanted - wanted % 2, 0, -2):
        if (count - 1) * acceleration + 1 <= lines:
            return tuple(range(1 - count // 2, count // 2 + 1))
    raise LinearError(
        f"GRAPPA: got {lines} calibration lines at acceleration {acceleration}, wanted at least {acceleration + 1}"
    )


def fit_grappa(
    calibration: NDArray[Any],
    acceleration: int,
    source_lines: int = 4,
    kernel: int = 5,
    regularisation: float = 1e-4,
) -> GrappaWeights:
    """Weights from consecutive calibration lines (coil, line, x) in hybrid space.

    `source_lines` x `kernel` is the window along ky and kx, `regularisation` Tikhonov's lambda as a share of the mean
    power of the sources. Griswold et al., Magn Reson Med 2002; 47:1202; weights in image space along the readout as in
    Brau et al., Magn Reson Med 2008; 59:382. Raises LinearError when the lines are too few for the acceleration.
    """
    wanted_shape("GRAPPA, calibration lines (coil, line, x)", calibration, None, None, None)
    if acceleration < 2:
        raise LinearError(f"GRAPPA: got acceleration {acceleration}, wanted 2 or more")
    coils, lines, width = calibration.shape
    sources = _source_lines(lines, acceleration, source_lines)
    kernel = min(kernel, width)
    given, wanted = _windows(to_kspace(calibration, -1), acceleration, sources, kernel)
    gram = (given.conj().T @ given).astype(np.complex128)
    strength = np.trace(gram).real / len(gram)
    if not strength > 0:
        raise LinearError("GRAPPA: the calibration lines are zero or not finite; wanted signal in one coil or more")
    gram[np.diag_indices_from(gram)] += regularisation * strength
    fitted = np.linalg.solve(gram, given.conj().T @ wanted)
    taps = fitted.reshape(len(sources) * coils, kernel, (acceleration - 1) * coils)
    shift = np.arange(kernel) - kernel // 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(width) - width // 2, shift) / width)
    weights = np.einsum("xk,skt->xts", waves, taps, optimize=True)
    return GrappaWeights(acceleration, sources, np.ascontiguousarray(weights.astype(np.complex64)))


def fill_lines(
    grappa: GrappaWeights, hybrid: NDArray[np.complex64], acquired: NDArray[np.bool_]
) -> NDArray[np.complex64]:
    """Complete a frame (coil, line, x): lines that were not acquired are made from their neighbours.

    Lines beyond the first and last acquired one count as zero. All lines that were acquired stay as they are. Raises
    LinearError when the lines (line,) are no grid of the weights' acceleration.
    """
    columns = grappa.weights.shape[0]
    wanted_shape("GRAPPA, frame (coil, line, x)", hybrid, None, len(acquired), columns)
    acceleration, first = sampling_grid(acquired)
    if acceleration == 1:
        return hybrid.copy()
    if acceleration != grappa.acceleration:
        raise LinearError(f"GRAPPA: got lines {acceleration} apart, the weights are for {grappa.acceleration}")
    coils, lines, width = hybrid.shape
    starts = np.arange(first - acceleration, lines, acceleration)
    at = starts + acceleration * np.array(grappa.sources)[:, None]
    came = (at >= 0) & (at < lines)
    given = np.where(came[None, :, :, None], hybrid[:, at.clip(0, lines - 1)], 0)
    stacked = given.transpose(3, 1, 0, 2).reshape(width, len(grappa.sources) * coils, len(starts))
    made = (grappa.weights @ stacked).reshape(width, acceleration - 1, coils, len(starts))
    out = hybrid.copy()
    rows = starts + np.arange(1, acceleration)[:, None]
    missing = (rows >= 0) & (rows < lines)
    missing[missing] = ~acquired[rows[missing]]
    out[:, rows[missing]] = made.transpose(2, 1, 3, 0)[:, missing]
    return out

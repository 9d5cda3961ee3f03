"""Closed-form SENSE for equispaced lines: one small system per set of aliased pixels, solved before the lines come.

Model: y = M F S rho + n with n white (sigma 1), F orthonormal, M the acquired lines. The image minimises
|y - M F S rho|^2 + lambda |rho|^2, the same problem as in columns.py and cgsense.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.linear.combine import rss
from engines.linear.errors import LinearError, wanted_shape
from engines.linear.fourier import plan

__all__ = ["Unfolding", "equispaced", "prepare_unfolding", "unfold"]


@dataclass(frozen=True, slots=True, eq=False)
class Unfolding:
    """What unfolding needs, made once from maps; shared by all frames of a slice."""

    acceleration: int
    first_line: int  # acquired lines are first_line, first_line + acceleration, …
    columns: slice  # of the image, that coils see; the others stay zero
    weights: NDArray[np.complex64]  # (coil, alias, folded line, column), Fourier phases and scales included
    twist: NDArray[np.complex64] | None  # (folded line, 1) phase on the lines before their FFT, None where it is 1
    noise_std: NDArray[np.float32]  # (y, x) noise of the image where acquired noise has sigma 1
    g_factor: NDArray[np.float32]  # (y, x) noise_std / (noise of the fully sampled image * sqrt(acceleration))


def equispaced(acquired: NDArray[np.bool_]) -> tuple[int, int] | None:
    """(acceleration, first line) when a mask (line,) is exactly a grid that unfolding can use, otherwise None."""
    lines = np.flatnonzero(acquired)
    if len(lines) == 0 or len(acquired) % len(lines):
        return None
    acceleration, first = len(acquired) // len(lines), int(lines[0])
    return (acceleration, first) if np.array_equal(lines, np.arange(first, len(acquired), acceleration)) else None


def _check(maps: NDArray[Any], acceleration: int, first_line: int) -> None:
    wanted_shape("unfolding, maps (coil, y, x)", maps, None, None, None)
    coils, lines, _ = maps.shape
    if acceleration < 1 or lines % acceleration:
        raise LinearError(
            f"unfolding: got acceleration {acceleration} and {lines} lines, wanted a divisor of {lines}; "
            f"use the column solver (columns.py) for this mask"
        )
    if not 0 <= first_line < acceleration:
        raise LinearError(f"unfolding: got first line {first_line}, wanted 0 to {acceleration - 1}")
    if acceleration > coils:
        raise LinearError(f"unfolding: got acceleration {acceleration} with {coils} coils, wanted at most {coils}")


def aliased_inverse(
    maps: NDArray[Any], acceleration: int, regularisation: float
) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Maps of aliased pixels E (folded line, x, coil, alias), and (E^H E / R + lambda)^-1 (..., alias, alias).

    A pixel no coil sees has a zero in the system; it gets a one on the diagonal and so stays zero.
    """
    coils, lines, width = maps.shape
    folded = lines // acceleration
    aliased = np.ascontiguousarray(maps.reshape(coils, acceleration, folded, width).transpose(2, 3, 0, 1))
    system = (aliased.conj().swapaxes(-1, -2) @ aliased).astype(np.complex128) / acceleration
    diagonal = np.einsum("...ii->...i", system)
    diagonal += np.where(diagonal.real > 0, regularisation, 1)
    return aliased, np.linalg.inv(system).astype(np.complex64)


def prepare_unfolding(maps: NDArray[Any], acceleration: int, first_line: int, regularisation: float = 0.0) -> Unfolding:
    """Weights and noise maps from sensitivity maps (coil, y, x) of whitened coils.

    `regularisation` is lambda of the model above, in units where sum |S|^2 = 1. Pruessmann et al., Magn Reson Med 1999;
    42:952. Raises LinearError when the number of lines is no multiple of the acceleration, or for fewer coils than
    aliases.
    """
    _check(maps, acceleration, first_line)
    _, lines, width = maps.shape
    folded = lines // acceleration
    offset = (first_line - lines // 2) * (np.arange(lines) - lines // 2) / lines
    phased = maps * np.exp(-2j * np.pi * (offset % 1)).astype(np.complex64)[:, None]
    aliased, inverse = aliased_inverse(phased, acceleration, regularisation)
    solved = inverse @ aliased.conj().swapaxes(-1, -2) / np.float32(np.sqrt(acceleration))
    weights = solved.transpose(3, 2, 0, 1)
    noise_std = rss(weights).reshape(lines, width)
    columns = _span(rss(maps).max(axis=0))
    return Unfolding(
        acceleration=acceleration,
        first_line=first_line,
        columns=columns,
        weights=np.multiply(weights[..., columns], np.float32(folded**-0.5), order="C", dtype=np.complex64),
        twist=_twist(lines, folded),
        noise_std=noise_std,
        g_factor=noise_std * rss(maps) / np.float32(np.sqrt(acceleration)),
    )


def _span(sensitivity: NDArray[np.float32]) -> slice:
    """From the first to the last column (x,) that is seen; one column where none is."""
    which = np.flatnonzero(sensitivity)
    return slice(int(which[0]), int(which[-1]) + 1) if len(which) else slice(0, 1)


def _twist(lines: int, folded: int) -> NDArray[np.complex64] | None:
    """Phase that k = 0 in the middle of the matrix puts on folded lines (line, 1); none for even R, as a rule."""
    shift = lines // 2 % folded
    turns = np.arange(folded) * shift % folded / folded
    return np.exp(-2j * np.pi * turns).astype(np.complex64)[:, None] if shift else None


def unfold(unfolding: Unfolding, lines: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Image (y, x) from the acquired lines alone (coil, lines / acceleration, x), in hybrid space, in their order.

    One FFT along the acquired lines and one product a coil and pixel, coil by coil, so that a coil's lines stay in the
    processor's cache from the one to the other. Raises LinearError for another number of lines.
    """
    coils, acceleration, folded, width = unfolding.weights.shape
    wanted_shape("unfolding, acquired lines (coil, line, x)", lines, coils, folded, unfolding.noise_std.shape[1])
    fft = plan(folded, width, "FFTW_BACKWARD", axis=0)
    total = np.zeros((acceleration, folded, width), np.complex64)
    product = np.empty_like(total)
    for weights, given in zip(unfolding.weights, lines[..., unfolding.columns], strict=True):
        if unfolding.twist is None:
            fft.input_array[:] = given
        else:
            np.multiply(given, unfolding.twist, out=fft.input_array)
        fft.execute()
        np.multiply(weights, fft.output_array, out=product)
        total += product
    image = np.zeros(unfolding.noise_std.shape, np.complex64)
    image[:, unfolding.columns] = total.reshape(acceleration * folded, width)
    return image

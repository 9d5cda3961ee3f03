"""Laws of motion: noise and gain are no difference, a displaced object is one, and its displacement comes back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.quality.motion import displacement, unexplained
from tests.engines.coils import head, hybrid_space, noise_like, unit_maps

SIZE = 64
MAPS = unit_maps(8, SIZE, SIZE)
ROWS = np.arange(SIZE // 2 - 12, SIZE // 2 + 12, 4)


def lines_of(down=0.0, right=0.0):
    """Lines (coil, line, x) of a head displaced by fractions of a pixel, through coils that stay."""
    freq = np.fft.fftfreq(SIZE)
    ramp = np.exp(-2j * np.pi * (freq[:, None] * down + freq * right))
    image = np.fft.ifft2(np.fft.fft2(head(SIZE, SIZE)) * ramp)
    return 40 * hybrid_space((MAPS * image).astype(np.complex64))[:, ROWS]


@settings(max_examples=20)
@given(st.floats(0.1, 10), st.floats(-3, 3), st.integers(0, 999))
def test_gain_phase_and_noise_are_no_difference(gain, angle, seed):
    factor = gain * np.exp(1j * angle)
    before = lines_of() + noise_like((8, len(ROWS), SIZE), seed)
    now = (lines_of() + noise_like((8, len(ROWS), SIZE), seed + 1000)) * factor
    assert unexplained(lines_of() * np.complex64(factor), lines_of()) < 1e-3
    assert unexplained((now / gain).astype(np.complex64), before.astype(np.complex64), 1.0) < 0.03


@settings(max_examples=30)
@given(st.floats(-5, 5), st.floats(-5, 5))
def test_a_displacement_comes_back_in_both_directions(down, right):
    found = displacement(lines_of(down, right), lines_of(), ROWS - SIZE // 2, SIZE)
    assert abs(found.along_phase - down) < 0.6
    assert abs(found.along_read - right) < 0.6


def test_a_displacement_is_not_mistaken_for_one_a_period_of_the_rows_away():
    found = displacement(lines_of(4.0), lines_of(), ROWS - SIZE // 2, SIZE)
    assert abs(found.along_phase - 4) < 0.6


def test_the_further_the_object_moves_the_less_is_explained():
    parts = [unexplained(lines_of(shift), lines_of()) for shift in (0, 0.25, 0.5, 1, 2)]
    assert parts == sorted(parts)
    assert parts[2] > 0.05


def test_lines_without_signal_have_nothing_to_explain():
    nothing = np.zeros((8, len(ROWS), SIZE), np.complex64)
    assert unexplained(nothing, lines_of()) == unexplained(lines_of(), nothing) == 0

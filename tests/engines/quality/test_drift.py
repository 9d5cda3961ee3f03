"""Laws of drift: planted phases, shifts and slopes come back as they were planted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.quality.drift import compare, first_line, trend
from tests.engines.coils import noise_like
from tests.engines.quality.readouts import clean

LINE = clean()[64]  # (coil, sample), the middle of k-space


def shifted(line, samples):
    """Shift an echo by a fraction of a sample: a phase ramp on the image of the readout, zero in its middle."""
    ramp = np.exp(-2j * np.pi * np.fft.fftfreq(line.shape[1]) * samples)
    return np.fft.fft(np.fft.ifft(line, axis=1) * ramp.conj(), axis=1).astype(np.complex64)


@given(st.floats(-3.1, 3.1), st.floats(-20, 20), st.floats(0.5, 5), st.integers(0, 99))
def test_phase_and_shift_come_back_at_any_gain_with_noise(angle, samples, gain, seed):
    line = shifted(LINE, samples) * np.complex64(gain * np.exp(1j * angle)) + noise_like(LINE.shape, seed)
    made = compare(line.astype(np.complex64), first_line(LINE + noise_like(LINE.shape, seed + 100)))
    assert abs(made.shift - samples) < 0.15
    assert abs(np.angle(np.exp(1j * (made.phase_rad - angle)))) < 0.05
    assert made.likeness > 0.8


def test_an_echo_that_comes_later_has_a_positive_shift():
    later = np.zeros_like(LINE)
    later[:, 2:] = LINE[:, :-2]
    assert abs(compare(later, first_line(LINE)).shift - 2) < 0.05


def test_a_line_of_noise_is_unlike():
    assert compare(noise_like(LINE.shape), first_line(LINE)).likeness < 0.1


@given(st.floats(-2, 2), st.integers(3, 400), st.integers(0, 99))
def test_a_slope_comes_back_though_phases_wrap_and_single_shots_jump(slope, count, seed):
    times = np.arange(count) * 1.0
    phases = slope * times
    phases[count // 2] += 0.5
    made = trend(times, np.angle(np.exp(1j * phases)))
    assert abs(made.whole_rad - slope * times[-1]) < 1e-6 * count + (0.6 if count < 8 else 0)


def test_jitter_is_the_standard_deviation_about_the_slope():
    rng = np.random.default_rng(3)
    got = [trend(np.arange(60.0), 0.01 * np.arange(60) + 0.1 * rng.standard_normal(60)).jitter_rad for _ in range(50)]
    assert abs(np.mean(got) - 0.1) < 0.01


def test_the_jitter_of_ten_shots_is_seldom_taken_for_half_of_what_it_is_and_one_shot_that_jumps_is_none():
    rng = np.random.default_rng(4)
    got = np.array([trend(np.arange(10.0), 0.1 * rng.standard_normal(10)).jitter_rad for _ in range(1000)])
    assert np.mean(got < 0.05) < 0.1
    assert 0.085 < np.mean(got) < 0.115
    one = np.zeros(10)
    one[4] = 1.0
    assert trend(np.arange(10.0), one).jitter_rad < 1e-9

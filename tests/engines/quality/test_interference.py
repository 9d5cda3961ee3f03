"""Laws of interference: a line in the spectrum is found at its frequency, and a head has none."""

import numpy as np
import pytest

from engines.quality.interference import heights_db, log_spectrum, offset_hz
from tests.engines.coils import noise_like
from tests.engines.quality.readouts import scanned


@pytest.mark.parametrize("columns", [256, 255])
@pytest.mark.parametrize("khz", [-20.0, 0.0, 12.5])
def test_a_tone_stands_in_the_column_of_its_frequency(khz, columns):
    time_s = np.arange(columns) * 10e-6
    tone = np.exp(2j * np.pi * khz * 1e3 * time_s)
    heights = heights_db(log_spectrum((noise_like((16, 2, columns)) + 0.5 * tone).astype(np.complex64)), 16)
    width_hz = 1e6 / 10 / columns
    assert abs(offset_hz(int(np.argmax(heights)), columns, 10.0) - khz * 1e3) <= width_hz


def test_a_head_and_its_noise_have_no_column_more_than_4_db_above_those_around_it():
    samples = scanned(1)
    blocks = [heights_db(log_spectrum(samples[begin : begin + 16]), 16) for begin in range(0, 128, 16)]
    assert np.min(blocks, axis=0).max() < 4


def test_no_coils_gain_counts():
    samples = noise_like((16, 4, 128))
    louder = samples * np.array([1, 10, 100, 1000], np.float32)[:, None]
    np.testing.assert_allclose(heights_db(log_spectrum(louder), 16), heights_db(log_spectrum(samples), 16), atol=1e-3)

"""Laws of gain: noise is measured at the ends of readouts, whatever signal and spikes there are."""

import numpy as np
import pytest

from engines.quality.gain import ends_of, floor_db
from tests.engines.quality.readouts import clean, scanned

OUTER = np.r_[0:32, 96:128]


def test_the_noise_of_every_coil_is_known_to_one_and_a_half_decibels_from_eight_outer_lines():
    for seed in range(8):
        outer = scanned(seed)[OUTER]
        for first in range(0, len(outer), 8):
            assert np.abs(floor_db(ends_of(outer[first : first + 8]))).max() < 1.5


@pytest.mark.parametrize("db", [-6.0, 6.0])
def test_a_gain_moves_it_by_as_many_decibels_and_spikes_by_none(db):
    outer = scanned(1)[OUTER]
    quiet = floor_db(ends_of(outer))
    np.testing.assert_allclose(floor_db(ends_of(outer * np.float32(10 ** (db / 20)))), quiet + db, atol=1e-3)
    outer[:, :, 5] += 1000
    np.testing.assert_allclose(floor_db(ends_of(outer)), quiet, atol=1.5)


def test_short_readouts_are_taken_whole():
    assert ends_of(clean()[:3, :, :24]).shape == (8, 2, 3, 12)

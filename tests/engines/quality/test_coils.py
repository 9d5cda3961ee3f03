"""Laws of coil levels: gain cancels where it should, silence shows, and two plugs of one signal are found."""

import numpy as np
import pytest

from engines.quality.coils import closest_pair, in_db, level_db
from tests.engines.coils import noise_like


def test_levels_are_relative_to_the_median_coil_and_finite_where_nothing_is():
    np.testing.assert_allclose(in_db(np.array([1.0, 1.0, 4.0, 0.25, 0.0])), [0, 0, 6.02, -6.02, -120], atol=0.01)
    assert in_db(np.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("gain", [0.01, 1.0, 100.0])
def test_a_receivers_gain_does_not_change_its_signal_by_noise(gain):
    signal, noise = np.array([100.0, 200.0, 300.0]), np.ones(3)
    factor = np.array([1.0, gain, 1.0])
    np.testing.assert_allclose(level_db(signal * factor, noise * factor), level_db(signal, noise))


def test_the_two_coils_that_share_their_noise_are_the_closest_pair_and_a_dead_coil_is_in_none():
    noise = noise_like((6, 4000))
    noise[4] = 0.95 * noise[1] + 0.3 * noise[4]
    noise[2] = 0
    pair = closest_pair(noise @ noise.conj().T / 4000)
    assert (pair.first, pair.second) == (1, 4)
    assert pair.correlation == pytest.approx(0.954, abs=0.02)
    assert closest_pair(np.zeros((3, 3), np.complex64)) is None

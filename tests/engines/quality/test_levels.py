"""Laws of levels: gain and dwell time cancel, one odd scan among earlier ones does not count."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.noise import covariance
from engines.quality.levels import change, noise_db
from tests.engines.coils import noise_like


@given(st.floats(-40, 40), st.integers(0, 7), st.floats(-10, 10))
def test_gain_is_common_and_what_one_coil_does_beyond_it_is_its_own(gain_db, coil, own_db):
    earlier = np.tile(np.linspace(-3, 3, 8), (3, 1))
    now = earlier[0] + gain_db
    now[coil] += own_db
    made = change(now, earlier)
    assert np.isclose(made.common, gain_db)
    assert np.isclose(made.coil[coil], own_db)
    assert np.allclose(np.delete(made.coil, coil), 0)


@given(st.floats(0.5, 50), st.floats(0.5, 50))
def test_noise_sampled_more_slowly_is_weaker_by_its_bandwidth_and_has_the_same_level(one_us, other_us):
    unit = np.eye(3)
    assert np.allclose(noise_db(unit / one_us, one_us), noise_db(unit / other_us, other_us))


def test_one_odd_scan_among_three_earlier_ones_does_not_make_the_next_one_odd():
    earlier = np.zeros((3, 4))
    earlier[1, 2] = 14.0
    assert np.abs(change(np.zeros(4), earlier).coil).max() == 0


def test_an_array_is_no_further_off_than_its_earlier_scans_scatter_and_one_that_is_steady_shows_every_decibel():
    gains = np.random.default_rng(0).normal(0, 2.0, 400)
    beyond = [change(np.full(4, gains[n]), np.tile(gains[n - 16 : n, None], 4)).beyond for n in range(16, 400)]
    assert np.mean(np.array(beyond) > 3) < 0.01
    assert np.isclose(change(np.full(4, 6.0), np.zeros((16, 4))).beyond, 6.0)


def test_two_patients_with_two_gains_hide_no_more_than_the_gap_between_them():
    earlier = np.tile(np.repeat([0.0, 3.4], 8)[:, None], 4)
    assert np.isclose(change(np.full(4, 9.0), earlier).beyond, 9.0 - 3.4)
    assert change(np.full(4, 3.4), earlier).beyond == 0
    earlier[-1] = 12.0  # one odd scan
    assert np.isclose(change(np.full(4, 9.0), earlier).beyond, 9.0 - 3.4)


def test_the_noise_of_8192_samples_is_known_to_a_twentieth_of_a_decibel():
    levels = np.array([noise_db(covariance(noise_like((16, 8192), seed)), 5.0) for seed in range(20)])
    assert levels.std() < 0.05

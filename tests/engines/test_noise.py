"""Laws of noise covariance and prewhitening."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.errors import LinearError
from engines.linear.noise import bandwidth_scale, covariance, unwhitened, whiten, whitener
from tests.engines.coils import covariance_from_edges, noise_like


def mixed_noise(coils, samples, seed=0):
    mixing = noise_like((coils, coils), seed) + np.diag(np.logspace(-3, 3, coils)).astype(np.complex64)
    return mixing @ noise_like((coils, samples), seed + 1)


@given(st.integers(1, 12), st.integers(0, 100))
def test_whitened_noise_is_white_with_unit_power(coils, seed):
    noise = mixed_noise(coils, 500, seed)
    white = covariance(whiten(whitener(covariance(noise)), noise))
    np.testing.assert_allclose(white, np.eye(coils), atol=1e-3)


def test_a_dead_coil_stays_silent_and_leaves_the_others_white():
    noise = mixed_noise(6, 2000)
    noise[2] = 0
    matrix = whitener(covariance(noise))
    assert not matrix[2].any()
    assert not matrix[:, 2].any()
    alive = np.delete(np.arange(6), 2)
    np.testing.assert_allclose(covariance(whiten(matrix, noise))[np.ix_(alive, alive)], np.eye(5), atol=1e-3)


def test_two_copies_of_one_coil_make_a_projection_not_infinities():
    noise = noise_like((4, 1000))
    noise[3] = noise[2]
    white = covariance(whiten(whitener(covariance(noise)), noise))
    np.testing.assert_allclose(white @ white, white, atol=1e-3)
    assert np.trace(white).real == pytest.approx(3, abs=1e-3)


def test_noise_of_another_bandwidth_is_white_after_scaling():
    noise_scan, imaging = mixed_noise(4, 20000, 1), mixed_noise(4, 20000, 1) * np.sqrt(4.0)
    matrix = whitener(covariance(noise_scan), bandwidth_scale(noise_dwell_us=8, dwell_us=2))
    np.testing.assert_allclose(covariance(whiten(matrix, imaging)), np.eye(4), atol=1e-3)


def test_what_the_receivers_filter_took_from_the_noise_scan_is_given_back():
    assert bandwidth_scale(5, 5, 0.79) == pytest.approx(np.sqrt(0.79))


def test_without_a_noise_scan_coils_stay_as_they_are():
    data = noise_like((3, 5))
    np.testing.assert_array_equal(whiten(unwhitened(3), data), data)


def test_air_at_the_edges_of_the_field_of_view_tells_the_covariance():
    truth = mixed_noise(4, 64 * 96).reshape(4, 64, 96)
    hybrid = truth.copy()
    hybrid[:, 24:40, 20:76] += 1e6
    got, wanted = covariance_from_edges(hybrid), covariance(truth.reshape(4, -1))
    spread = np.sqrt(np.outer(np.diag(wanted).real, np.diag(wanted).real))
    assert np.abs((got - wanted) / spread).max() < 0.15


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: covariance(noise_like((4, 3))), "3 samples of 4 coils"),
        (lambda: covariance(np.full((2, 5), np.nan)), "NaN"),
        (lambda: covariance(noise_like((4,))), "wanted"),
        (lambda: whitener(np.zeros((3, 3))), "zero or not finite"),
        (lambda: whitener(np.zeros((3, 2))), "wanted"),
        (lambda: bandwidth_scale(0, 1), "positive"),
        (lambda: whiten(unwhitened(3), noise_like((4, 5))), "wanted"),
    ],
)
def test_what_cannot_be_whitened_is_refused_with_the_reason(call, said):
    with pytest.raises(LinearError, match=said):
        call()

"""Laws of exchange: two coils that changed places are named, a coil that fell silent is no exchange."""

from itertools import combinations

import numpy as np
import pytest

from engines.quality.exchange import exchange, likeness
from hw_sim.coils import head_array

SAMPLES = 3072


def measured(covariance, seed, samples=SAMPLES):
    """Likeness (coil, coil) from so many samples of noise with a covariance."""
    chance = np.random.default_rng(seed)
    white = chance.standard_normal((2, len(covariance), samples))
    noise = np.linalg.cholesky(covariance) @ (white[0] + 1j * white[1])
    return likeness(noise @ noise.conj().T / samples)


def before(covariance):
    return np.median([measured(covariance, 900 + n) for n in range(3)], axis=0)


def permuted(covariance, first, second):
    order = np.arange(len(covariance))
    order[[first, second]] = second, first
    return covariance[np.ix_(order, order)]


@pytest.mark.parametrize("coils", [8, 16])
def test_two_coils_of_a_head_array_that_are_exchanged_are_named_and_none_that_are_not(coils):
    covariance = head_array(coils).covariance
    known = before(covariance)
    for number, pair in enumerate([*combinations(range(coils), 2)][:: coils // 6]):
        found = exchange(measured(permuted(covariance, *pair), number), known, SAMPLES)
        assert (found.first, found.second) == pair
        assert found.explained > 0.65
        assert exchange(measured(covariance, 500 + number), known, SAMPLES).explained < 0.45


@pytest.mark.parametrize("louder", [1e-6, 3.0, 1e3])
def test_a_coil_that_is_dead_or_noisy_is_no_exchange(louder):
    covariance = head_array(8).covariance
    known = before(covariance)
    for coil in range(8):
        changed = covariance.copy()
        changed[coil, coil] *= 1 + louder**2
        assert exchange(measured(changed, coil), known, SAMPLES).explained < 0.55


def test_few_coils_or_coils_without_common_noise_are_not_told_apart():
    assert exchange(measured(np.eye(8), 1), before(np.eye(8)), SAMPLES) is None
    assert exchange(np.zeros((3, 3)), np.zeros((3, 3)), SAMPLES) is None

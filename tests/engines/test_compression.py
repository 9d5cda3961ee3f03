"""Laws of coil compression and combination."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.combine import adaptive, rss
from engines.linear.compression import compress, compression
from engines.linear.errors import LinearError
from tests.engines.coils import head, noise_like, unit_maps


@given(st.integers(2, 10), st.integers(0, 100), st.data())
def test_virtual_coils_come_strongest_first_and_keep_what_the_best_projection_keeps(coils, seed, data):
    few = data.draw(st.integers(1, coils))
    signal = noise_like((coils, coils), seed) @ np.diag(np.linspace(1, 5, coils)) @ noise_like((coils, 40), seed + 1)
    kept = compress(compression(signal, coils=few), signal)
    power = (np.abs(kept) ** 2).sum(1)
    assert (np.diff(power) <= 1e-4 * power[0]).all()
    best = np.linalg.svd(signal, compute_uv=False)[:few] ** 2
    np.testing.assert_allclose(power, best, rtol=1e-3, atol=1e-4 * best[0])


@given(st.integers(1, 8), st.floats(0.01, 1))
def test_as_many_coils_are_kept_as_the_energy_asks_for_and_not_one_more(coils, energy):
    signal = noise_like((coils, 60)) * np.logspace(0, 1, coils)[:, None].astype(np.float32)
    matrix = compression(signal, energy=energy)
    total = np.linalg.norm(signal) ** 2
    assert np.linalg.norm(compress(matrix, signal)) ** 2 >= energy * total * (1 - 1e-4)
    if len(matrix) > 1:
        assert np.linalg.norm(compress(matrix[:-1], signal)) ** 2 < energy * total * (1 + 1e-4)


def test_white_noise_stays_white():
    matrix = compression(noise_like((8, 100)), coils=5)
    np.testing.assert_allclose(matrix @ matrix.conj().T, np.eye(5), atol=1e-5)


@pytest.mark.parametrize("wanted", [{}, {"coils": 2, "energy": 0.5}, {"coils": 0}, {"coils": 9}, {"energy": 0.0}])
def test_impossible_wishes_are_refused(wanted):
    with pytest.raises(LinearError, match="wanted"):
        compression(noise_like((8, 20)), **wanted)
    with pytest.raises(LinearError, match="4 coils"):
        compress(np.eye(3, dtype=np.complex64), noise_like((4, 5)))


def test_combination_with_the_true_maps_gives_the_object_back():
    maps, image = 3 * unit_maps(6, 32, 32), head(32, 32)
    np.testing.assert_allclose(adaptive(maps * image, maps), image, atol=1e-5)
    np.testing.assert_allclose(rss(maps * image), 3 * np.abs(image), atol=1e-5)


def test_where_no_coil_sees_anything_the_combination_is_zero():
    maps = np.zeros((2, 4, 4), np.complex64)
    assert not adaptive(noise_like((2, 4, 4)), maps).any()
    with pytest.raises(LinearError, match="equal shapes"):
        adaptive(noise_like((2, 4, 4)), maps[:1])

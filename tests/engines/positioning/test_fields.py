"""Values between voxels and Gaussians are those of an independent peer, in volumes of any shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from engines.positioning.fields import smoothed, values_at

shapes = st.tuples(*[st.integers(1, 9)] * 3)
seeds = st.integers(0, 1000)
laws = settings(max_examples=60, deadline=None)


def volume(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@laws
@given(shapes, seeds)
def test_values_between_voxels_are_those_of_scipy_and_outside_what_is_wanted(shape, seed):
    chance = np.random.default_rng(seed)
    to_voxel = np.eye(4)
    to_voxel[:3] += 0.2 * chance.standard_normal((3, 4))
    places = chance.uniform(-2, 10, (200, 3))
    at = (places @ to_voxel[:3, :3].T + to_voxel[:3, 3])[:, ::-1]
    inside = ((at >= 0) & (at <= np.array(shape) - 1)).all(axis=1)
    made = values_at(volume(shape, seed), to_voxel, places, np.nan)
    wanted = ndimage.map_coordinates(volume(shape, seed), at.T, np.float32, 1)
    np.testing.assert_array_equal(np.isfinite(made), inside)
    np.testing.assert_allclose(made[inside], wanted[inside], atol=1e-6)


def test_voxels_are_found_at_their_own_places_of_every_field_the_last_ones_too():
    fields = volume((4, 5, 6, 3), 1)
    places = np.indices((4, 5, 6))[::-1].reshape(3, -1).T.astype(np.float64)
    np.testing.assert_array_equal(values_at(fields, np.eye(4), places), fields.reshape(-1, 3))


@laws
@given(shapes, seeds, st.tuples(*[st.floats(0, 4)] * 3), st.sampled_from(["nothing", "nearest", "mirrored"]))
def test_a_gaussian_is_that_of_scipy_whatever_lies_beyond_the_edges(shape, seed, sigma, beyond):
    mode = {"nothing": "constant", "nearest": "nearest", "mirrored": "reflect"}[beyond]
    given_volume = volume(shape, seed)
    wanted = ndimage.gaussian_filter(given_volume, sigma, mode=mode, truncate=2.5)
    made = smoothed(given_volume, np.array(sigma), 2.5, beyond)
    assert made.flags.c_contiguous
    np.testing.assert_allclose(made, wanted, atol=2e-6)


@pytest.mark.parametrize("beyond", ["nearest", "mirrored"])
def test_what_is_even_stays_even(beyond):
    np.testing.assert_allclose(smoothed(np.ones((5, 1, 7), np.float32), np.full(3, 2.0), 3.0, beyond), 1, atol=1e-6)

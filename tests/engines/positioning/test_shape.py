"""Laws of shapes: a body that was found well stays, single misread landmarks move towards what bodies look like."""

import numpy as np
import pytest

from engines.positioning.shape import likeliest, shape_modes

CHANCE = np.random.default_rng(0)
MEAN = CHANCE.uniform(-60, 60, (12, 3))
MODES = 2.0 * CHANCE.standard_normal((3, 12, 3))


def body(chance):
    """One of a family, anywhere within some millimetres and degrees, and of any size."""
    made = MEAN + np.tensordot(chance.standard_normal(3), MODES, 1) + 0.5 * chance.standard_normal(MEAN.shape)
    return 1.03 * made + chance.normal(0, 3, 3)


def test_what_was_found_exactly_stays():
    true = body(np.random.default_rng(1))
    made, off = likeliest(MEAN, MODES, 0.5, true, np.full(12, 1e-3))
    np.testing.assert_allclose(made, true, atol=1e-3)
    assert np.diag(off).max() < 4e-6


def test_errors_shrink_and_what_is_left_of_them_is_told():
    before, after, told = [], [], []
    for seed in range(40):
        chance = np.random.default_rng(seed)
        true = body(chance)
        found = true + 3.0 / np.sqrt(3) * chance.standard_normal(true.shape)
        made, off = likeliest(MEAN, MODES, 0.5, found, np.full(12, 3.0))
        before.append(((found - true) ** 2).sum(1))
        after.append(((made - true) ** 2).sum(1))
        told.append(np.diag(off).reshape(-1, 3).sum(1))
    assert np.mean(after) < 0.6 * np.mean(before)
    assert np.mean(told) == pytest.approx(np.mean(after), rel=0.15)


def test_a_landmark_that_was_not_found_moves_no_other():
    true = body(np.random.default_rng(2))
    off = np.full(12, 1.0)
    off[4] = 1e5
    one, _ = likeliest(MEAN, MODES, 0.5, true, off)
    wild = true.copy()
    wild[4] += 40.0
    other, _ = likeliest(MEAN, MODES, 0.5, wild, off)
    np.testing.assert_allclose(np.delete(one, 4, 0), np.delete(other, 4, 0), atol=0.01)


def test_modes_are_those_along_which_shapes_differ():
    chance = np.random.default_rng(3)
    shapes = MEAN + np.tensordot(chance.standard_normal((400, 3)), MODES, 1)
    mean, modes, rest = shape_modes(shapes, 3)
    np.testing.assert_allclose(mean, MEAN, atol=1.0)
    assert rest < 1e-6
    one, other = (part.reshape(3, -1) for part in (modes, MODES))
    np.testing.assert_allclose(one.T @ one, other.T @ other, atol=0.2 * np.abs(other.T @ other).max())

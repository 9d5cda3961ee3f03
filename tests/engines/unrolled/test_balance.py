"""Where the lines object by no more than noise the network is believed, where they object strongly the lines are."""

import numpy as np
import pytest

from engines.unrolled.balance import balanced, rough_noise, windowed

INSIDE = np.ones((40, 48), np.bool_)
NOISE = windowed(2.5 * INSIDE.astype(np.float32))


def planes(power, seed=0):
    """White noise (2, row, column) of that power a complex pixel."""
    return np.random.default_rng(seed).standard_normal((2, 40, 48)).astype(np.float32) * np.float32((power / 2) ** 0.5)


def test_noise_is_not_put_back():
    image = 30 + planes(1, 1)
    np.testing.assert_array_equal(balanced(image, image + planes(1.0), INSIDE, NOISE), image)


@pytest.mark.parametrize("kept", [0.15, 0.5, 1.0])
def test_as_much_noise_is_put_back_as_is_to_be_kept(kept):
    image, noise = 30 + planes(1, 1), planes(2.5)
    made = balanced(image, image + noise, INSIDE, NOISE * np.float32(1 - kept))
    assert np.vdot(made - image, noise) / np.vdot(noise, noise) == pytest.approx(kept, abs=0.05)


def test_a_strong_objection_wins():
    proposed = np.zeros((2, 40, 48), np.float32)
    consistent = proposed + 20
    np.testing.assert_allclose(balanced(proposed, consistent, INSIDE, NOISE), consistent, rtol=0.01)


def test_it_wins_only_where_it_is():
    proposed = planes(1, 1)
    consistent = proposed.copy()
    consistent[:, 10:14, 10:14] += 50
    made = balanced(proposed, consistent, INSIDE, NOISE)
    np.testing.assert_array_equal(made[:, 20:], proposed[:, 20:])
    np.testing.assert_allclose(made[:, 11, 11], consistent[:, 11, 11], rtol=0.05)


@pytest.mark.parametrize("power", [0.5, 5.0, 50.0])
def test_it_lies_between_both_and_is_zero_outside(power):
    inside = INSIDE.copy()
    inside[:, 30:] = False
    proposed, consistent = planes(9, 1), planes(9, 1) + planes(power, 2)
    made = balanced(proposed, consistent, inside, NOISE)
    low, high = np.minimum(proposed, consistent), np.maximum(proposed, consistent)
    assert ((made >= low - 1e-5) & (made <= high + 1e-5))[:, inside].all()
    assert (made[:, ~inside] == 0).all()


def rough(root, share):
    return rough_noise(np.array([root, share], np.float32), INSIDE)[20, 20]


def test_of_all_lines_and_no_lambda_the_rough_noise_is_that_of_the_samples():
    assert rough(0.0, 1.0) == pytest.approx(1.0)


def test_fewer_lines_make_more_rough_noise_and_a_larger_lambda_less():
    assert rough(0.2, 0.25) > rough(0.2, 0.5)
    assert rough(0.5, 0.25) < rough(0.2, 0.25)

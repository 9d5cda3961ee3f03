"""Pairs of brightnesses are shared among neighbours, and looked up between them."""

import numpy as np
from scipy import ndimage

from engines.positioning.pairs import counted, looked_up

BINS = 8


def pairs(count=500):
    return np.random.default_rng(0).uniform(0, BINS - 1.001, (2, count))


def test_every_pair_counts_once_and_where_it_lies():
    one, other = pairs()
    made = counted(one, other, BINS)
    np.testing.assert_allclose(made.sum(), 500)
    np.testing.assert_allclose(made.sum(1) @ np.arange(BINS), one.sum())
    np.testing.assert_allclose(made.sum(0) @ np.arange(BINS), other.sum())


def test_values_between_entries_are_those_of_scipy_and_to_count_is_the_adjoint_of_to_look_up():
    one, other = pairs()
    table = np.random.default_rng(1).standard_normal((BINS, BINS))
    made = looked_up(table, one, other)
    np.testing.assert_allclose(made, ndimage.map_coordinates(table, np.stack((one, other)), order=1), atol=1e-12)
    np.testing.assert_allclose(made.sum(), (counted(one, other, BINS) * table).sum())

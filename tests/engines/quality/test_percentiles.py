"""Laws of percentile bounds: they cover as often as they say, whatever the distribution, and refuse too few values."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.quality.percentiles import percentile_bound, scans_needed


@pytest.mark.parametrize(("share", "confidence", "needed"), [(0.99, 0.95, 299), (0.95, 0.95, 59), (0.9, 0.9, 22)])
def test_as_many_scans_are_needed_as_in_wilks_tables(share, confidence, needed):
    assert scans_needed(share, confidence) == needed
    assert percentile_bound(range(needed), share, confidence) == needed - 1
    assert percentile_bound(range(needed - 1), share, confidence) is None


@pytest.mark.parametrize("count", [59, 150, 400])
def test_the_bound_covers_the_percentile_as_often_as_it_says(count):
    rng, trials = random.Random(count), 800
    covered = sum(
        (percentile_bound([rng.random() for _ in range(count)], 0.95, 0.95) or 0) >= 0.95 for _ in range(trials)
    )
    assert 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5 <= covered / trials


@given(st.lists(st.integers(-1000, 1000), min_size=59, max_size=200), st.randoms())
def test_neither_order_nor_scale_matters_and_more_confidence_is_never_tighter(values, rng):
    bound = percentile_bound(values, 0.95, 0.95)
    shuffled = rng.sample(values, len(values))
    assert percentile_bound([4 * value for value in shuffled], 0.95, 0.95) == 4 * bound
    assert percentile_bound(values, 0.95, 0.8) <= bound

"""Laws of order: numbers that go on are told from those that do not, however they are cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.quality.order import ran_back, steady


@given(st.integers(0, 2**32 - 300), st.integers(1, 200))
def test_numbers_that_go_on_by_one_are_steady_from_any_beginning(before, count):
    assert steady(np.arange(before + 1, before + 1 + count).astype(np.uint32), before)


@given(st.permutations(range(1, 9)))
def test_no_other_order_of_the_same_numbers_is_steady(numbers):
    assert steady(np.array(numbers, np.uint32), 0) == (list(numbers) == sorted(numbers))


@given(st.integers(1, 7), st.integers(1, 5))
def test_numbers_left_out_are_not_steady(after, gap):
    numbers = np.arange(1, 9, dtype=np.uint32)
    numbers[after:] += np.uint32(gap)
    assert not steady(numbers, 0)
    assert not steady(numbers, gap)


def test_a_clock_that_runs_back_is_told_where_and_midnight_is_not():
    day = 34_560_000
    stamps = np.array([5, 5, 9, 8, 10], np.uint32)
    assert ran_back(stamps, 5).tolist() == [3]
    assert ran_back(stamps, 7).tolist() == [0, 3]
    assert ran_back(np.array([day - 1, 0, 2], np.uint32), day - 2).tolist() == []

"""What is said of a cue: areas, their intervals, curves and shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trt_build.planted.roc import area, curve, wilson

SUBJECTS = ("a", "b", "c", "d")


def scores(chance, shift, count=40):
    return {name: chance.normal(shift, 1, count) for name in SUBJECTS}


def test_a_cue_that_tells_all_has_area_1_and_one_that_tells_nothing_a_half():
    ones, zeros = ({name: np.full(3, value) for name in SUBJECTS} for value in (1.0, 0.0))
    assert area(ones, zeros) == (1, 1, 1)
    assert area(zeros, zeros) == (0.5, 0.5, 0.5)
    assert area(zeros, ones).value == 0


def test_the_area_of_two_normal_distributions_lies_in_its_interval():
    chance = np.random.default_rng(1)
    found = area(scores(chance, 1.0), scores(chance, 0.0))
    assert found.low < 0.760 < found.high  # Phi(1 / sqrt 2)
    assert found.high - found.low < 0.2


def test_the_area_lies_under_the_curve():
    chance = np.random.default_rng(2)
    planted, clean = scores(chance, 0.7), scores(chance, 0.0)
    false, true = curve(*(np.concatenate(list(some.values())) for some in (planted, clean)))
    assert np.trapezoid(true, false) == pytest.approx(area(planted, clean).value)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


@given(st.integers(1, 200), st.data())
def test_a_share_lies_in_its_interval(of, data):
    found = data.draw(st.integers(0, of))
    low, high = wilson(found, of)
    assert 0 <= low <= found / of + 1e-12
    assert found / of - 1e-12 <= high <= 1

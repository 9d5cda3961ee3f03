"""Factors on the regions of stacks: with them nine of ten are held, whatever the landmarks said."""

from dataclasses import replace

import numpy as np
import pytest

from engines.model import load_model
from engines.positioning.template import template_of
from trt_build.landmarks.judge import PlaneError
from trt_build.landmarks.planes import Placed, wide_enough


@pytest.fixture(scope="module")
def template():
    return replace(template_of(load_model("head_landmarks")), planes={})


def rows(kind, count, mm=1.0, deg=1.0, seed=0):
    """Scouts that err by so much where the landmarks say one millimetre and one degree."""
    off = np.abs(np.random.default_rng(seed).standard_normal((count, 2))) * (mm, deg)
    return [Placed("3-D", kind, "nobody", {"orbits": PlaneError(*one, 1.0, 1.0)}) for one in off.tolist()]


def test_factors_are_what_holds_nine_of_ten_for_each_kind_of_scout(template):
    seen = rows("alike", 300, mm=3.0, deg=0.2) + rows("part", 300, mm=1.0, deg=0.5)
    made = wide_enough(seen, template).planes
    assert made.keys() == {"alike", "part"}
    for kind in made:
        mm, deg = made[kind]["orbits"]
        errors = [row.planes["orbits"] for row in seen if row.kind == kind]
        assert np.mean([one.mm <= mm for one in errors]) == pytest.approx(0.9, abs=0.01)
        assert np.mean([one.deg <= deg for one in errors]) == pytest.approx(0.9, abs=0.01)


def test_a_factor_is_not_made_of_a_few_scouts(template):
    assert wide_enough(rows("alike", 5), template).planes == {}

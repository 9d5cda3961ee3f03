"""The same subject at another exam: the planes of the first lie on the same anatomy, wherever the head lies now."""

import numpy as np
import pytest

from engines.positioning.follow_up import Plane, Prior, again, between, carried
from engines.positioning.resemblance import level_at
from engines.positioning.rigid import points_of
from hw_sim.devices import Pose
from hw_sim.truth import true_stack
from protocols.stack import apart
from tests.engines.positioning.test_rigid import scout

FIRST = Pose((6.0, -3.0, 4.0), (5.0, -4.0, 3.0))
NEAR, FAR = Pose((-8.0, 5.0, -3.0), (-4.0, 6.0, -9.0)), Pose((-24.0, 20.0, -18.0), (-17.0, 14.0, -15.0))
PLANS = ("brain_axial", "midline_sagittal")


@pytest.fixture(scope="module")
def prior():
    stacks = {plan: true_stack("mni", plan, FIRST) for plan in PLANS}
    planes = {plan: Plane(stack=stack, asked=stack, time_s=0.0) for plan, stack in stacks.items()}
    first = scout(FIRST, shaded=True, noise=0.03)
    seen = points_of(first).thinned()
    return Prior(seen, level_at(first, seen.places_mm), planes)


@pytest.mark.parametrize(("now", "guessed"), [(NEAR, False), (FAR, False), (FAR, True)])
def test_planes_come_back_within_a_millimetre_and_a_degree_relative_to_the_anatomy(prior, now, guessed):
    plane = prior.planes["brain_axial"].stack
    off = Pose((now.shift_mm[0] + 4, *now.shift_mm[1:]), (now.turn_deg[0] + 3, *now.turn_deg[1:]))
    guess = between(plane, true_stack("mni", "brain_axial", off)) if guessed else None
    moved = again(prior, scout(now, shaded=True, noise=0.03), guess)
    for plan in PLANS:
        off = apart(carried(prior.planes[plan].stack, moved), true_stack("mni", plan, now))
        assert not off.beyond(1.0, 1.0), off


def test_another_body_is_no_follow_up(prior):
    assert again(prior, scout(contrast={}, noise=1.0)) is None


def test_a_stack_goes_to_another_by_what_lies_between_them():
    here, there = (true_stack("mni", "brain_axial", pose) for pose in (NEAR, FAR))
    assert not apart(carried(here, between(here, there)), there).beyond(1e-6, 1e-6)


def test_a_stack_that_is_carried_keeps_its_size_and_its_slices(prior):
    stack = prior.planes["brain_axial"].stack
    moved = again(prior, scout(FIRST, shaded=True, noise=0.03))
    there = carried(stack, moved)
    assert np.linalg.det(there.axes()) == pytest.approx(1, abs=1e-9)
    assert (there.slices, there.field_of_view_mm) == (stack.slices, stack.field_of_view_mm)
    assert not apart(there, stack).beyond(0.3, 0.3)

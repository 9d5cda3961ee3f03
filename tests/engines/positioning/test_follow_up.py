"""The same subject at another exam: the planes of the first lie on the same anatomy, wherever the head lies now."""

import stat

import numpy as np
import pytest

from engines.errors import EngineError
from engines.positioning.follow_up import again, carried, keep, recall
from hw_sim.devices import Pose
from hw_sim.truth import true_stack
from protocols.stack import apart
from tests.engines.positioning.test_rigid import scout

FIRST = Pose((6.0, -3.0, 4.0), (5.0, -4.0, 3.0))
PLANS = ("brain_axial", "midline_sagittal")


@pytest.fixture
def prior(tmp_path):
    stacks = {plan: true_stack("mni", plan, FIRST) for plan in PLANS}
    path = keep(tmp_path / "priors", "subject_7", scout(FIRST, shaded=True, noise=0.03), stacks)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return recall(tmp_path / "priors", "subject_7")


@pytest.mark.parametrize(
    "now", [Pose((-8.0, 5.0, -3.0), (-4.0, 6.0, -9.0)), Pose((-24.0, 20.0, -18.0), (-17.0, 14.0, -15.0))]
)
def test_planes_come_back_within_a_millimetre_and_a_degree_relative_to_the_anatomy(prior, now):
    moved = again(prior, scout(now, shaded=True, noise=0.03))
    for plan in PLANS:
        off = apart(carried(prior.stacks[plan], moved), true_stack("mni", plan, now))
        assert not off.beyond(1.0, 1.0), off


def test_another_body_is_no_follow_up(prior):
    assert again(prior, scout(contrast={}, noise=1.0)) is None


def test_a_stack_that_is_carried_keeps_its_size_and_its_slices(prior):
    stack = prior.stacks["brain_axial"]
    moved = again(prior, scout(FIRST, shaded=True, noise=0.03))
    there = carried(stack, moved)
    assert np.linalg.det(there.axes()) == pytest.approx(1, abs=1e-9)
    assert (there.slices, there.field_of_view_mm) == (stack.slices, stack.field_of_view_mm)
    assert not apart(there, stack).beyond(0.3, 0.3)


def test_nobody_is_known_by_what_is_no_pseudonym_and_nothing_is_read_from_a_broken_file(tmp_path):
    assert recall(tmp_path, "nobody") is None
    with pytest.raises(EngineError, match="letters, digits"):
        recall(tmp_path, "../passwd")
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    with pytest.raises(EngineError, match="no prior exam can be read"):
        recall(tmp_path, "broken")

"""Laws of who a head is: one brain lies upon itself wherever it lies and however noisy it is, another is stretched."""

import numpy as np
import pytest

from engines.positioning.brain import brain_in, template_for
from engines.positioning.grid import Sheet
from engines.positioning.resemblance import level_at, resemblance
from engines.positioning.rigid import Moved, Points, points_of
from hw_sim.devices import Pose
from hw_sim.truth import true_stack
from tests.engines.positioning.test_rigid import scout

NOW = Pose((-8.0, 5.0, -3.0), (-4.0, 6.0, -9.0))
PLAN = "brain_axial"


@pytest.fixture(scope="module")
def now():
    sheet = Sheet(scout(NOW, shaded=True, noise=0.05))
    return sheet, brain_in(sheet, template_for("head"), PLAN, true_stack("mni", PLAN, NOW))


@pytest.mark.parametrize(("sizes", "same"), [((1.0, 1.0, 1.0), True), ((1.025, 0.975, 0.975), False)])
def test_a_brain_is_its_own_in_another_pose_and_not_that_of_a_head_of_another_shape(now, sizes, same):
    then = scout(shaded=True, noise=0.04)
    seen = points_of(then).thinned()
    level = Points(seen.places_mm * sizes, level_at(then, seen.places_mm))
    turn = (NOW.from_patient(np.eye(3)) - np.array(NOW.shift_mm)).T
    found = resemblance(level, *now, Moved(turn, np.array(NOW.shift_mm)))
    assert found.same == same
    assert found.stretch == pytest.approx(0.0 if same else 0.0255, abs=0.012)
    assert found.correlation > 0.6


def test_what_lies_elsewhere_is_nobody(now):
    far = Points(np.full((900, 3), 1e4), np.ones(900, np.float32))
    assert not resemblance(far, *now, Moved(np.eye(3), np.zeros(3))).same

"""A frame waits for the inverse that would be there before an iteration had ended, and for no other."""

from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import replace
from math import inf
from types import SimpleNamespace

import pytest

from engines.linear.calibration import solver_of
from engines.linear.columns import invert_columns
from engines.linear.coming import Coming
from engines.linear.frame import make_image
from tests.engines.unrolled.scene import every, make_scene

MASK = every(4)


@pytest.fixture(scope="module")
def scene():
    return make_scene(MASK)


class Making(Future):
    """What a worker is still making, done as soon as somebody waits for it."""

    waited = 0.0

    def __init__(self, solver):
        super().__init__()
        self.solver = solver

    def result(self, timeout=None):
        self.waited = timeout
        if not timeout:
            raise NotInTime
        return self.solver


def made(scene, remaining_s):
    solver = Making(solver_of(invert_columns(scene.calibration.problem)))
    coming = SimpleNamespace(remaining_s=lambda: remaining_s)
    known = replace(scene.calibration, solver=solver, coming=coming)
    return make_image(scene.frame, MASK, known, "exact").engine, solver.waited


def test_how_long_an_inverse_takes_is_told_from_its_second_block_on(scene):
    problem, told = scene.calibration.problem, []
    coming = Coming()
    coming.expect(problem.maps.shape[2])

    def see(block):
        told.append(coming.remaining_s())
        coming.see(block)

    invert_columns(problem, at_once=8, then=see)
    assert told[:2] == [inf, inf]
    assert all(0 < remaining_s < inf for remaining_s in told[2:])
    assert coming.remaining_s() == 0


def test_a_frame_waits_for_the_inverse_that_is_nearly_there(scene):
    engine, waited = made(scene, 0.1)
    assert engine == "columns"
    assert waited >= 0.2


@pytest.mark.parametrize("remaining_s", [2.0, inf])
def test_a_frame_does_not_wait_for_an_inverse_that_takes_longer_than_an_iteration(scene, remaining_s):
    assert made(scene, remaining_s) == ("columns by iteration", 0.0)


def test_an_inverse_that_does_not_come_as_soon_as_it_should_is_not_waited_for_any_longer(scene):
    coming = SimpleNamespace(remaining_s=lambda: 0.01)
    known = replace(scene.calibration, solver=Future(), coming=coming)
    assert make_image(scene.frame, MASK, known, "exact").engine == "columns by iteration"

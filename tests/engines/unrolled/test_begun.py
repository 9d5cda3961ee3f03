"""The linear image and the network's beginning come from one product with one inverse."""

import numpy as np
import pytest

from engines.linear.columns import invert_columns, place, prepare_columns, product, solve_columns
from engines.unrolled.begun import begin_frame, linear_solver, serves_linear
from engines.unrolled.prepared import close_support, make_inverse, make_ready, prepare
from engines.unrolled.problem import as_box
from engines.unrolled.run import Beforehand, draw
from engines.unrolled.trust import withheld_lines
from tests.engines.coils import nrmse
from tests.engines.unrolled.scene import STRENGTH, every, make_scene, shrinking, strength_of

MASK = every(4)
MASK[44:52] = True


def ready(scene, strength=STRENGTH, **more):
    prepared = prepare(scene.calibration, MASK, strength, 0.03, **more)
    make_ready(prepared)
    return prepared


@pytest.mark.parametrize(("averages", "regularisation"), [(1, 0.01), (4, 0.01), (1, 0.1), (4, 0.1)])
def test_the_linear_image_is_that_of_all_lines_though_some_were_withheld(averages, regularisation):
    scene = make_scene(MASK)
    strength = strength_of(scene.calibration, MASK & ~withheld_lines(MASK, 0.03), regularisation) * averages**0.5
    prepared = ready(scene, strength, averages=averages)
    problem = prepared.box.columns_problem
    maps = scene.calibration.maps * close_support(scene.calibration)
    alone = prepare_columns(maps, MASK, problem.regularisation, (prepared.box.rows, prepared.box.columns))
    inverse = invert_columns(alone)
    wanted, dim = solve_columns(inverse, scene.frame), regularisation / (1 + regularisation)
    if regularisation == 0.1:
        before = as_box(prepared.box, begin_frame(prepared, scene.frame).start[0]) / np.float32(averages**0.5)
        wanted, dim = wanted + place(alone, product(inverse, np.float32(regularisation) * before)), dim**2
    wanted = wanted / (1 - dim)
    assert problem.regularisation == pytest.approx(regularisation)
    assert len(prepared.withheld)
    assert nrmse(linear_solver(prepared)(scene.frame, None).pixels, wanted) < 1e-3


def test_the_network_goes_on_from_what_the_linear_image_has_begun():
    scene = make_scene(MASK)
    prepared, network = ready(scene), shrinking()[0]
    begun = linear_solver(prepared)(scene.frame, None).begun
    went_on = draw(network, None, prepared, np.zeros_like(scene.frame), None, Beforehand(begun))
    np.testing.assert_array_equal(went_on.pixels, draw(network, None, prepared, scene.frame).pixels)


def test_it_begins_anew_where_the_preparation_is_another():
    scene = make_scene(MASK)
    older, prepared, network = ready(scene, 2 * STRENGTH), ready(scene), shrinking()[0]
    begun = begin_frame(older, scene.frame)
    got = draw(network, None, prepared, scene.frame, None, Beforehand(begun))
    np.testing.assert_array_equal(got.pixels, draw(network, None, prepared, scene.frame).pixels)


def test_it_begins_anew_where_the_inverse_came_in_between():
    scene = make_scene(MASK)
    prepared, network = prepare(scene.calibration, MASK, STRENGTH, 0.03), shrinking()[0]
    begun = begin_frame(prepared, scene.frame)
    make_ready(prepared)
    assert draw(network, None, prepared, scene.frame, None, Beforehand(begun)).consistency == "columns"


def test_the_linear_image_is_as_bright_as_the_object_whatever_lambda_is():
    scene = make_scene(MASK)
    where = np.abs(scene.target) > 10
    for regularisation in (0.01, 0.15):
        used = MASK & ~withheld_lines(MASK, 0.03)
        prepared = ready(scene, strength_of(scene.calibration, used, regularisation))
        made = linear_solver(prepared)(scene.frame, None).pixels
        bright = np.vdot(scene.target[where], made[where]).real / np.vdot(scene.target[where], scene.target[where]).real
        assert bright == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("regularisation", "serves"), [(0.001, False), (0.01, True), (0.1, True), (0.3, False)])
def test_the_inverse_serves_where_its_lambda_suits_a_linear_image(regularisation, serves):
    scene = make_scene(MASK)
    used = MASK & ~withheld_lines(MASK, 0.03)
    prepared = prepare(scene.calibration, MASK, strength_of(scene.calibration, used, regularisation), 0.03)
    assert prepared.box.columns_problem.regularisation == pytest.approx(regularisation)
    assert not serves_linear(prepared)
    make_inverse(prepared)
    assert not serves_linear(prepared), "the withheld lines cannot come back yet"
    make_ready(prepared)
    assert serves_linear(prepared) == serves


def test_few_lines_keep_an_inverse_of_their_own_for_the_image_that_judges():
    few = every(8, calibration=8)
    scene = make_scene(few)
    prepared = prepare(scene.calibration, few, strength_of(scene.calibration, few, 0.02))
    make_ready(prepared)
    assert not serves_linear(prepared)


def test_a_frame_that_has_moved_out_of_the_columns_is_left_to_others():
    scene = make_scene(MASK)
    solve = linear_solver(ready(scene))
    moved = np.roll(scene.frame, scene.frame.shape[2] // 2, axis=2)
    assert solve(moved, None) is None

"""Lines that judge an image come back into it: as if they had never been withheld, where the image is linear."""

import numpy as np
import pytest

from engines.linear.columns import invert_columns
from engines.unrolled.predictor import begin_predictor
from engines.unrolled.prepared import make_inverse, make_ready, prepare
from engines.unrolled.problem import apply_inverse, as_box, network_problem, normal_image
from engines.unrolled.returned import give_back, worth
from engines.unrolled.run import draw
from engines.unrolled.trust import predicted_lines
from tests.engines.coils import nrmse
from tests.engines.unrolled.scene import STRENGTH, every, make_scene, shrinking

MASK = every(4)


def linear(problem, frame):
    return as_box(problem, apply_inverse(problem.inverse, normal_image(problem, frame)[0]))


@pytest.mark.parametrize("regularisation", [0.1, 0.001])
def test_a_linear_image_with_lines_given_back_is_the_linear_image_of_all_lines(regularisation):
    scene = make_scene(MASK)
    rows = np.flatnonzero(MASK)[[3, -4]]
    used = MASK.copy()
    used[rows] = False
    maps = scene.calibration.maps * scene.calibration.inside
    held, whole = (network_problem(maps, mask, regularisation, "dense") for mask in (used, MASK))
    before = linear(held, scene.frame)
    missed = scene.frame[:, rows][:, :, held.columns] - predicted_lines(held.columns_problem, rows, before)
    predictor, see = begin_predictor(held.columns_problem, rows)
    invert_columns(held.columns_problem, then=see)
    after = before + give_back(predictor, missed)
    wanted = linear(whole, scene.frame)
    assert nrmse(after, wanted) < 1e-3
    assert nrmse(before, wanted) > 0.01


def test_an_image_is_judged_before_its_withheld_lines_come_back():
    scene = make_scene(MASK)
    prepared = prepare(scene.calibration, MASK, STRENGTH, 0.03)
    make_inverse(prepared)
    without = draw(shrinking()[0], None, prepared, scene.frame)
    make_ready(prepared)
    with_them = draw(shrinking()[0], None, prepared, scene.frame)
    assert without.returned == 0
    assert with_them.returned == worth(with_them.trust.error) > 0
    assert with_them.trust.error == pytest.approx(without.trust.error, rel=1e-3)
    assert nrmse(with_them.pixels, scene.target) < nrmse(without.pixels, scene.target)


@pytest.mark.parametrize(("error", "share"), [(float("nan"), 0), (0.8, 0), (1.0, 0), (2**0.5, 0.25), (1e4, 1)])
def test_lines_come_back_as_far_as_their_error_is_more_than_noise(error, share):
    assert worth(error) == pytest.approx(share, abs=1e-6)


def test_nothing_is_prepared_once_nobody_waits_for_it():
    scene = make_scene(MASK)
    prepared = prepare(scene.calibration, MASK, STRENGTH, 0.03)
    make_ready(prepared, lambda: True)
    assert (prepared.problem, prepared.predictor) == (None, None)

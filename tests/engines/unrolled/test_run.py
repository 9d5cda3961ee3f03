"""A network image is the same whether its inverse was ready or not, and in the units of the frame."""

from dataclasses import replace

import numpy as np
import pytest

from engines.errors import EngineError
from engines.unrolled.prepared import close_support, expected_lines, make_inverse, make_ready, prepare
from engines.unrolled.run import Cascades, draw
from engines.unrolled.strength import scan_of
from engines.unrolled.trust import withheld_lines
from tests.engines.coils import nrmse
from tests.engines.unrolled.scene import LINES, SNR, STRENGTH, every, make_scene, says, shrinking, strength_of, subject

EMBEDDED, GRID = every(4), every(4, calibration=0)


@pytest.mark.parametrize("regularisation", [0.1, 0.01])
@pytest.mark.parametrize(("mask", "consistency"), [(EMBEDDED, "columns"), (GRID, "blocks")])
def test_bridging_by_iteration_gives_the_image_that_the_inverse_gives(mask, consistency, regularisation):
    scene = make_scene(mask)
    whole, parts = shrinking()
    prepared = prepare(scene.calibration, mask, strength_of(scene.calibration, mask, regularisation))
    bridged = draw(whole, Cascades(parts, 3), prepared, scene.frame)
    make_ready(prepared)
    exact = draw(whole, None, prepared, scene.frame)
    assert (bridged.consistency, exact.consistency) == ("iteration", consistency)
    assert nrmse(bridged.pixels, exact.pixels) < 4e-3
    assert bridged.trust is exact.trust is None


def test_a_network_is_told_the_same_of_a_scan_whether_its_inverse_was_ready_or_not():
    scene = make_scene(EMBEDDED)
    whole, parts = shrinking()
    told = []

    def noted(graph):
        def asked(tensors):
            told.append(tensors["scan"])
            return graph(tensors)

        return asked

    prepared = prepare(scene.calibration, EMBEDDED, STRENGTH, 0.03)
    draw(noted(whole), Cascades([noted(part) for part in parts], 3), prepared, scene.frame)
    make_ready(prepared)
    draw(noted(whole), None, prepared, scene.frame)
    assert len(told) == len(parts) + 1
    for scan in told:
        assert np.array_equal(scan, scan_of(prepared.box))


def test_withheld_lines_leave_holes_in_a_grid_so_columns_take_the_place_of_blocks():
    scene = make_scene(GRID)
    prepared = prepare(scene.calibration, GRID, STRENGTH, 0.03)
    make_ready(prepared)
    assert draw(shrinking()[0], None, prepared, scene.frame).consistency == "columns"


def test_what_the_network_makes_does_not_depend_on_the_lines_that_are_withheld():
    scene = make_scene(EMBEDDED)
    prepared = prepare(scene.calibration, EMBEDDED, STRENGTH, 0.03)
    make_inverse(prepared)
    other = scene.frame.copy()
    other[:, prepared.withheld] *= -3
    images = [draw(shrinking()[0], None, prepared, frame) for frame in (scene.frame, other)]
    assert np.array_equal(images[0].pixels, images[1].pixels)
    assert images[1].trust.error > 3 * images[0].trust.error


def test_averages_are_seen_by_the_network_in_units_of_their_noise_and_come_back_in_the_frames():
    scene = make_scene(EMBEDDED)
    prepared = prepare(scene.calibration, EMBEDDED, STRENGTH, 0.03)
    make_ready(prepared)
    once = draw(shrinking()[0], None, prepared, scene.frame)
    dimmer = replace(scene.calibration, lines=scene.calibration.lines / 2)
    averaged = prepare(dimmer, EMBEDDED, STRENGTH, 0.03, averages=4)
    make_ready(averaged)
    four = draw(shrinking()[0], None, averaged, scene.frame / 2)
    assert nrmse(four.pixels, once.pixels / 2) < 1e-3
    assert four.error_percentiles == pytest.approx(once.error_percentiles, rel=1e-2)
    assert four.trust.error == pytest.approx(once.trust.error, rel=1e-2)


def test_the_error_map_is_zero_where_there_is_no_object():
    scene = make_scene(EMBEDDED)
    prepared = prepare(scene.calibration, EMBEDDED, STRENGTH)
    make_ready(prepared)
    made = draw(says(prepared, scene.target), None, prepared, scene.frame)
    assert np.array_equal(made.error > 0, close_support(scene.calibration))
    assert made.error_percentiles == (1.0, 1.0)
    assert nrmse(made.pixels, scene.target) < 0.01


@pytest.mark.parametrize("spoilt", ["image", "error"])
def test_an_image_with_nan_is_refused(spoilt):
    scene = make_scene(EMBEDDED)
    prepared = prepare(scene.calibration, EMBEDDED, STRENGTH)
    make_ready(prepared)
    out = says(prepared, scene.target)({})
    out[spoilt][0, 0, 5, 5] = np.nan
    with pytest.raises(EngineError, match="not finite"):
        draw(lambda _tensors: out, None, prepared, scene.frame)


def test_without_inverse_and_without_cascades_the_network_says_that_it_cannot():
    scene = make_scene(EMBEDDED)
    with pytest.raises(EngineError, match="cascades"):
        draw(shrinking()[0], None, prepare(scene.calibration, EMBEDDED, STRENGTH), scene.frame)


@pytest.mark.parametrize("mask", [EMBEDDED, GRID])
def test_the_lines_to_come_are_known_from_the_calibration(mask):
    assert np.array_equal(expected_lines(make_scene(mask).calibration), mask)
    assert expected_lines(make_scene(every(1)).calibration) is None


@pytest.mark.parametrize("mask", [EMBEDDED, GRID, every(3), every(8, calibration=16)])
def test_withheld_lines_were_acquired_lie_on_both_sides_and_not_in_the_middle(mask):
    chosen = withheld_lines(mask, 0.04)
    rows = np.flatnonzero(chosen) - LINES // 2
    assert mask[chosen].all()
    assert max(2, round(0.04 * mask.sum())) == len(rows)
    assert rows.min() < 0 < rows.max()
    assert np.abs(rows).min() >= 4
    assert np.array_equal(chosen, withheld_lines(mask, 0.04))


def test_the_box_ends_where_the_columns_hold_nothing_but_noise():
    scene = make_scene(EMBEDDED)
    columns = np.flatnonzero(np.abs(subject()).max(0) > 0.02 * SNR)
    seen = np.flatnonzero(close_support(scene.calibration).any(0))
    assert columns[0] - 6 <= seen[0] <= columns[0]
    assert columns[-1] <= seen[-1] <= columns[-1] + 6
    assert len(seen) < scene.calibration.inside.any(0).sum()
    faint = replace(scene.calibration, lines=scene.calibration.lines * 0)
    assert np.array_equal(close_support(faint), scene.calibration.inside)


def test_the_noise_that_is_to_be_kept_is_not_told_to_the_network():
    scene = make_scene(every(4))
    told = []
    for kept in (0.0, 0.25):
        prepared = prepare(scene.calibration, every(4), STRENGTH, 0.03)
        prepared.kept = kept
        make_inverse(prepared)
        told.append(prepared.problem.noise)
    assert told[0].max() > 0
    np.testing.assert_allclose(told[1], 0.75 * told[0], rtol=1e-6)

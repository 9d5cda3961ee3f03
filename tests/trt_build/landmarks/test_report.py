"""The report counts what is true: errors that were made on purpose come out, and so does what was stopped."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.positioning.axes import axis
from protocols.anatomy import find_anatomy
from tests.engines.positioning.heads import IDEAL, SURFACES, posed, without
from trt_build.landmarks.certainty import coverage_of_planes, refusal_of
from trt_build.landmarks.judge import FRAME, Truth, judged, straightened
from trt_build.landmarks.report import figures_of, write

HEAD = find_anatomy("head")
TRUTH = Truth({name: np.array(place, float) for name, place in IDEAL.items()}, SURFACES)
ABOUT = {"model": "some", "hash": "0" * 64, "turn_deg": 30.0, "shift_mm": 40.0, "snr": (5.0, 30.0)}


def judge(found, case="3-D", truth=TRUTH):
    regions = found.model_copy(update={"region90_mm": dict.fromkeys(found.landmarks, 1.0)})
    return judged(case, "nobody", 10.0, HEAD, regions, truth)


def test_the_truth_itself_has_no_error():
    row = judge(posed())
    assert row.status["brain_axial"] == "OK"
    assert (row.mm, row.stack_mm) == (0.0, 0.0)
    assert row.deg == pytest.approx(0.0, abs=1e-4)
    assert all(row.inside90.values())


def test_a_shift_and_a_turn_come_out_as_made():
    shifted = judge(posed(shift_mm=(0.0, 0.0, 3.0)))
    assert shifted.mm == pytest.approx(3.0)
    assert shifted.stack_mm == pytest.approx(3.0)
    assert not any(shifted.inside90.values())
    half = np.deg2rad(4.0) / 2
    turned = judge(posed(quaternion=(0.0, 0.0, np.sin(half), np.cos(half))))
    assert turned.deg == pytest.approx(4.0, abs=1e-6)
    assert np.abs(turned.about_deg) == pytest.approx((0.0, 0.0, 4.0), abs=0.1)


def test_a_stack_is_held_to_the_true_one_along_its_slices_and_by_its_turn():
    shifted = judge(posed(shift_mm=(5.0, 7.0, 3.0))).planes
    assert shifted["brain_axial"].mm == pytest.approx(3.0)
    assert shifted["midline_sagittal"].mm == pytest.approx(5.0)
    assert all(one.deg == pytest.approx(0.0, abs=1e-4) for one in shifted.values())
    half = np.deg2rad(4.0) / 2
    turned = judge(posed(quaternion=(0.0, 0.0, np.sin(half), np.cos(half)))).planes
    assert all(one.deg == pytest.approx(4.0, abs=1e-6) for one in turned.values())
    assert judge(without(posed(), "eye_left")).planes.keys() == HEAD.plans.keys() - {"orbits"}


def test_true_directions_are_those_of_the_reference_pose_where_there_is_one():
    turn = Rotation.from_euler("xyz", (5.0, 3.0, -4.0), degrees=True).as_matrix()
    frame = np.array([axis(along, HEAD, TRUTH.points) for along in FRAME]) @ turn.T
    points = straightened(HEAD, Truth(TRUTH.points, SURFACES, frame))
    np.testing.assert_allclose([axis(along, HEAD, points) for along in FRAME], frame, atol=1e-9)
    moved = [np.linalg.norm(points[name] - place) for name, place in TRUTH.points.items()]
    assert max(moved) < 6.0
    np.testing.assert_array_equal(points["eye_left"], TRUTH.points["eye_left"])


def test_a_region_holds_what_lies_no_farther_off_than_it_is_wide():
    rows = [judge(posed(shift_mm=(0.0, 0.0, mm))) for mm in (0.0, 0.5, 1.0, 9.0)]
    told = coverage_of_planes([*rows, judge(posed(), case="noise", truth=None)])
    assert told.keys() == {"3-D"}
    assert told["3-D"]["brain_axial"]["n"] == 4
    assert told["3-D"]["brain_axial"]["mm_coverage90"] == 0.75
    assert told["3-D"]["brain_axial"]["deg_coverage90"] == 1.0


@pytest.mark.parametrize(("bad", "let_through", "least"), [(300, 0, 0.99), (96, 0, 0.969), (300, 3, 0.974)])
def test_a_share_of_refusals_proves_no_more_than_there_were_scouts(bad, let_through, least):
    stopped = judge(posed(refused=("wrong_anatomy: a bottle",)), case="bottle", truth=None)
    rows = [stopped] * (bad - let_through) + [judge(posed(), case="noise", truth=None)] * let_through
    assert refusal_of(rows)["at_least95"] == pytest.approx(least, abs=1e-3)


def test_figures_are_of_accepted_scouts_and_of_stopped_ones(tmp_path):
    rows = [
        judge(posed()),
        judge(posed(shift_mm=(2.0, 0.0, 0.0))),
        judge(without(posed(), "ac"), case="3-D"),
        judge(posed(refused=("wrong_anatomy: a bottle",)), case="bottle", truth=None),
        judge(posed(), case="noise", truth=None),
    ]
    figures = figures_of(rows)
    assert figures["position_accepted"] == pytest.approx(2 / 3)
    assert figures["position_median_mm"] == pytest.approx(1.0)
    assert figures["position_worst_accepted_mm"] == pytest.approx(2.0)
    assert figures["position_refusal"] == pytest.approx(0.5)
    assert write(rows, ABOUT, tmp_path).keys() == figures.keys()
    assert json.loads((tmp_path / "report.json").read_text())["figures"]["position_refusal"]["value"] == 0.5
    assert "landmark_missing" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "errors.png").stat().st_size > 1000
    assert "overlays.png" not in (tmp_path / "report.md").read_text()
    write(rows, ABOUT, tmp_path, b"a picture")
    assert "overlays.png" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "overlays.png").read_bytes() == b"a picture"

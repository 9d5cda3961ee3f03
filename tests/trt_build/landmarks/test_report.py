"""The report counts what is true: errors that were made on purpose come out, and so does what was stopped."""

import json

import numpy as np
import pytest

from protocols.anatomy import find_anatomy
from tests.engines.positioning.heads import IDEAL, SURFACES, posed, without
from trt_build.landmarks.judge import Truth, judged
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

"""A whole exam in which the plugin advises and the console obeys."""

import numpy as np
import pytest

from gadgets.serve import ServeOptions, running
from hw_sim.exam import Sending, load_exam, run_exam
from hw_sim.plugin import Address

PROTOCOL = """
name = "small_navigated"
title = "four small slices with navigators"
[chain]
order = ["whiten", "oversampling", "navigator", "accumulate", "calibrate", "reconstruct", "finish", "mark", "advice"]
[chain.finish]
pixels = "float32"
[limits.navigator_mismatch]
value = 2.0
direction = "max"
unit = "%"
[limits.patient_away]
value = 4
direction = "max"
unit = "navigators"
severity = "FAIL"
[simulate]
matrix = [64, 64]
slices = 4
thickness_mm = 4.0
gap_mm = 6.0
tr_ms = 5.0
snr = 100.0
navigator_every = 8
"""
EXAM = """
title = "Small"
obey = {obey}
[patient]
body = "phantom"
[array]
coils = 8
[[scans]]
protocol = "{protocol}"
faults = {faults}
"""


@pytest.fixture
def exam(tmp_path):
    """Run an exam with faults against a plugin."""
    file = tmp_path / "small_navigated.toml"
    file.write_text(PROTOCOL)
    with running(ServeOptions(port=0, protocols=(tmp_path,))) as server:

        def run(*faults, obey="true"):
            path = tmp_path / "exams" / "exam.toml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(EXAM.format(protocol=file, faults=list(faults), obey=obey))
            sending = Sending(Address(server.host, server.port), virtual_time=True)
            return run_exam(load_exam(str(path)), sending, tmp_path / "out", lambda name, done, of: None)

        run.out = tmp_path / "out"
        yield run


def pixels(shown):
    return {int(a.image.header["slice"]): a.image.pixels[0, 0].astype(float) for a in shown.result.images}


def test_a_slice_that_a_cough_has_spoilt_is_acquired_again_and_is_then_as_without_it(exam):
    (clean,) = exam()
    assert clean.result.advice == []
    first, again = exam("cough@60%:6,turn=4deg,lasts=0.12")
    assert first.result.spoilt == (2,)
    assert first.result.advice[-1].because == ("navigator_mismatch",)
    assert again.result.advice == []
    want, before, after = (pixels(shown) for shown in (clean, first, again))
    assert set(after) == {2}
    errors = [
        np.linalg.norm(made[2] / np.linalg.norm(made[2]) - want[2] / np.linalg.norm(want[2]))
        for made in (before, after)
    ]
    assert errors[0] > 3 * errors[1]
    page = (exam.out / "index.html").read_text()
    assert "after: acquired again, as advised" in page
    assert (exam.out / "2_small_navigated_again" / "images.h5").exists()


def test_a_scan_of_a_patient_who_moves_and_stays_is_aborted_and_acquired_again_as_a_whole(exam):
    first, again = exam("motion@20%:8")
    assert first.result.aborted
    assert set(pixels(again)) == {0, 1, 2, 3}
    assert again.result.advice == []


def test_a_console_that_does_not_obey_shows_the_advice_and_does_nothing(exam):
    (shown,) = exam("cough@60%:6,turn=4deg,lasts=0.12", obey="false")
    assert shown.result.spoilt == (2,)
    assert "<b>reacquire</b> slices 2" in (exam.out / "index.html").read_text()

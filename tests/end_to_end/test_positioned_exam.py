"""An exam in which the plugin says where the slices lie: followed, refused, left unanswered, and then out of date."""

import re
from pathlib import Path

import numpy as np
import pytest

from gadgets.serve import ServeOptions, running
from hw_sim.devices import Pose
from hw_sim.exam import Sending, load_exam, run_exam
from hw_sim.head import mni_head
from hw_sim.landmarks import head_landmarks
from hw_sim.planned import measured
from hw_sim.plugin import Address
from protocols.landmarks import write_landmarks
from protocols.scan_protocol import find
from protocols.stack import apart

POSE = Pose((10.0, -4.0, -5.0), (8.0, -5.0, 12.0))
EXAM = """title = "Positioned"
[patient]
body = "mni"
turn_deg = [8.0, -5.0, 12.0]
shift_mm = [10.0, -4.0, -5.0]
[array]
coils = 4
[[scans]]
protocol = "{folder}/scout_3d.toml"
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "hippocampus_coronal"
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "hippocampus_coronal"
decide = "refuse"
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "hippocampus_coronal"
decide = "silent"
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "brain_axial"
[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "hippocampus_coronal"
table_mm = 6.0
"""


def changed(name, **values):
    """Text of a scan protocol in which keys of [simulate] have other values."""
    text = Path(find(name).where).read_text(encoding="utf-8")
    before, table = text.split("[simulate]")
    for key, value in values.items():
        table = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", table)
    return before, f"[simulate]{table}"


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """Run it once, with landmarks that lie where they truly do."""
    out = tmp_path_factory.mktemp("positioned")
    folder = out / "protocols"
    folder.mkdir()
    truth = head_landmarks(mni_head(), "HFS", POSE, "simulated_1")
    (out / "head.toml").write_text(write_landmarks(truth), encoding="utf-8")
    before, table = changed("scout_3d", matrix="[32, 32]", partitions=28, thickness_mm=9.0)
    plan = f'[chain.prescribe]\nlandmarks = "{out}/head.toml"\nplan = "hippocampus_coronal"\n\n[limits.snr]'
    before = re.sub(r'"locate", |(?ms:^\[engines\].*?\n\n)|(?m:^locate = .*\n)', "", before).replace(
        '"mark", "quality"', '"mark", "prescribe", "quality"'
    )
    (folder / "scout_3d.toml").write_text(before.replace("[limits.snr]", plan, 1) + table, encoding="utf-8")
    small = "".join(changed("brain_gre_r4", matrix="[48, 48]", slices=2, calibration_lines=16))
    (folder / "brain_gre_r4.toml").write_text(small, encoding="utf-8")
    (out / "exam.toml").write_text(EXAM.format(folder=folder), encoding="utf-8")
    with running(ServeOptions(port=0, protocols=(folder,))) as server:
        sending = Sending(Address("127.0.0.1", server.port, server.bus_address), virtual_time=True)
        shown = run_exam(load_exam(str(out / "exam.toml")), sending, out / "out", lambda *_: None)
    assert [scan.result.errors for scan in shown] == [[]] * 6
    return out / "out", shown


def flags(scan):
    return [flag for flag in scan.result.flags if flag.code == "prescription"]


def test_the_second_scan_lies_where_it_truly_should(exam):
    _, (scout, followed, *_) = exam
    (asked,) = scout.result.prescriptions
    got = measured(followed.images)
    assert not apart(asked.stack, got).beyond(0.2, 0.1)
    assert not apart(followed.planned.truth, got).beyond(0.2, 0.1)
    assert [flag.severity.value for flag in flags(followed)] == ["PASS"]


def test_what_is_refused_unanswered_or_never_came_leaves_the_default_planes_and_that_is_said(exam):
    _, (_, _, *others, _) = exam
    why = ("the operator refused it", "the console did not answer", "no prescription of brain_axial came")
    for scan, reason in zip(others, why, strict=True):
        assert reason in scan.planned.said[0]
        assert "the default planes are measured" in scan.planned.said[0]
        assert measured(scan.images).slice_dir == (0.0, 0.0, 1.0)
        assert len(scan.images) == 2
    assert "refused" in flags(others[0])[0].message


def test_a_table_that_has_moved_since_the_scout_carries_the_head_along_and_makes_the_prescription_stale(exam):
    _, (_, followed, *_, moved) = exam
    assert any("the table has moved by 6.0 mm since the scout" in flag.message for flag in flags(moved))
    assert all(arrived.header["patient_table_position"][2] == 6.0 for arrived in moved.images)
    off = apart(moved.planned.truth, measured(moved.images))
    assert off.centre_mm == pytest.approx(6.0, abs=0.2)
    # What was 6 mm closer to the feet is in the slice now.
    here, there = (np.stack([image.pixels[0, 0] for image in scan.images]).astype(float) for scan in (followed, moved))
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] < 0.99


def test_the_page_shows_the_slices_on_the_scout_and_how_far_they_are_off(exam):
    out, _ = exam
    page = (out / "index.html").read_text()
    assert page.count("the scout with the slices on it") == 5
    assert "measured against the truth" in page
    assert (out / "2_brain_gre_r4" / "overlay.png").read_bytes().startswith(b"\x89PNG")

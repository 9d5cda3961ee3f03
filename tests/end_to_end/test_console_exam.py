"""An exam whose console has its desk on the bus: the plugin asks there, is answered or not, and the page says it."""

import json
import time
from pathlib import Path

import pytest

from hw_sim.exam import Sending, load_exam, run_exam
from hw_sim.open_desk import BY_BUS, BY_MRD, open_desk
from hw_sim.planned import measured
from hw_sim.plugin import started
from protocols.landmarks import write_landmarks
from protocols.stack import apart
from tests.engines.positioning.heads import posed, without

TURN, SHIFT_MM = (0.05, -0.08, 0.1, 1), (6.0, -9.0, 4.0)
SCAN = """name = "{name}"
title = "Small"
[chain]
order = ["oversampling", "accumulate", "reconstruct", "finish", "{node}"]
[chain.prescribe]
landmarks = "{folder}/found.txt"
[simulate]
matrix = [16, 16]
noise_readouts = 4
"""
EXAM = """title = "Asked"
[patient]
body = "phantom"
[array]
coils = 4
[[scans]]
protocol = "{folder}/small_scout.toml"
"""
STEP = """[[scans]]
protocol = "{folder}/small.toml"
prescribed = "{plan}"
{more}
"""
ANSWERED = (
    ("hippocampus_coronal", ""),
    ("midline_sagittal", 'decide = "override"'),
    ("brain_axial", 'decide = "refuse"'),
)
DOUBTED = (("brain_axial", 'decide = "silent"'), ("hippocampus_coronal", "table_mm = 6.0"))


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """Run two exams against a plugin that is a process of its own: what each scan became, by exam and plan."""
    out = tmp_path_factory.mktemp("console")
    folder = out / "protocols"
    folder.mkdir()
    for name, node in (("small", "placed"), ("small_scout", "prescribe")):
        text = SCAN.format(name=name, node=node, folder=folder)
        text = (
            text if node == "prescribe" else text.replace("[chain.prescribe]", "").replace("landmarks", "# landmarks")
        )
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    found = without(posed(TURN, SHIFT_MM, time_s=time.time(), measurement_id="simulated_1"), "chiasm")
    (folder / "found.txt").write_text(write_landmarks(found), encoding="utf-8")
    shown = {}
    log = out / "plugin.jsonl"
    with open_desk() as desk:
        options = (
            "--console",
            desk.address,
            "--console-patience",
            "1",
            "--protocols",
            str(folder),
            "--log-file",
            str(log),
        )
        with started(out / "plugin.log", *options) as address:
            sending = Sending(address, virtual_time=True, desk=desk, silence_s=100.0)
            for name, steps in (("answered", ANSWERED), ("doubted", DOUBTED)):
                text = "".join(STEP.format(folder=folder, plan=plan, more=more) for plan, more in steps)
                (out / f"{name}.toml").write_text(EXAM.format(folder=folder) + text, encoding="utf-8")
                ran = run_exam(load_exam(str(out / f"{name}.toml")), sending, out / name, lambda *_: None)
                assert not any(scan.result.errors for scan in ran)
                shown[name] = ran
    return out, shown, [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def answers(scan):
    return {flag.evidence["plan"]: flag for flag in scan.result.flags if flag.code == "console_answer"}


def test_the_scout_is_told_what_the_console_will_set(exam):
    _, shown, _ = exam
    told = answers(shown["answered"][0])
    assert [told[plan].severity.value for plan, _ in ANSWERED] == ["PASS", "WARN", "WARN"]
    assert "the console set other values (overridden): the middle by 5.0 mm" in told["midline_sagittal"].message
    assert "refused it: the operator refused it: the scan keeps its default planes" in told["brain_axial"].message
    assert "orbits" not in told  # it is refused already, and has no place


def test_scans_lie_where_the_console_has_said_over_the_bus(exam):
    _, shown, _ = exam
    _, *scans = shown["answered"]
    for scan in scans:
        assert scan.planned.way == f"{BY_BUS}, and {BY_MRD}"
    accepted, overridden, refused = (scan.planned for scan in scans)
    assert not apart(accepted.answer.stack, measured(scans[0].images)).beyond(0.2, 0.1)
    assert not apart(accepted.asked.stack, measured(scans[0].images)).beyond(0.2, 0.1)
    assert apart(overridden.asked.stack, measured(scans[1].images)).centre_mm == pytest.approx(5.0, abs=0.2)
    assert measured(scans[2].images).slice_dir == (0.0, 0.0, 1.0)
    assert "the default planes are measured" in refused.said[0]


def test_a_console_that_stays_silent_is_told_with_what_happens_then(exam):
    _, shown, log = exam
    silent = shown["doubted"][1].planned
    assert silent.said == ("the console did not answer: the default planes are measured",)
    assert silent.way == ""
    told = [entry["told"] for entry in log if entry["event"] == "console" and entry["prescription"] == silent.asked.id]
    assert len(told) == 1
    assert told[0].endswith("within 1 s: the scan keeps its default planes")


def test_what_has_changed_since_the_console_was_asked_is_said_again_by_mrd(exam):
    _, shown, _ = exam
    _, _, moved = shown["doubted"]
    assert moved.planned.way == f"{BY_MRD}; otherwise than {BY_BUS} (accepted)"
    flags = [flag.message for flag in moved.result.flags if flag.code == "prescription"]
    assert any("the table has moved by 6.0 mm since the scout" in message for message in flags)


def test_the_page_says_which_way_the_plugin_was_told(exam):
    out, _, _ = exam
    page = Path(out / "answered" / "index.html").read_text(encoding="utf-8")
    assert page.count(BY_BUS) == 3
    assert "the plugin was told" in page

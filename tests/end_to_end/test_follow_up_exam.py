"""A subject who comes again in another pose: planes that were set then lie on the same anatomy, nobody else's do."""

from datetime import date

import pytest

from engines.positioning.follow_up import between, carried
from gadgets.serve import ServeOptions, running
from hw_sim.devices import Pose
from hw_sim.exam import Sending, load_exam, run_exam
from hw_sim.planned import measured
from hw_sim.plugin import Address
from hw_sim.truth import true_stack
from protocols.stack import apart
from tests.making import changed_protocol

PLAN = "brain_axial"
FIRST, LATER = Pose((6.0, -3.0, 4.0), (5.0, -4.0, 3.0)), Pose((-8.0, 5.0, -3.0), (-4.0, 6.0, -9.0))
EXAM = """title = "Follow-up"
[patient]
body = "mni"
subject = "{subject}"
turn_deg = {turn}
shift_mm = {shift}
[array]
coils = 4
[[scans]]
protocol = "{folder}/scout_3d.toml"
"""
SCAN = """[[scans]]
protocol = "{folder}/brain_gre_r4.toml"
prescribed = "brain_axial"
decide = "override"
"""


@pytest.fixture(scope="module")
def prescribed(tmp_path_factory):
    """What was measured at the first exam, and what is prescribed when the same one comes again, then another one."""
    out = tmp_path_factory.mktemp("follow_up")
    folder = out / "protocols"
    folder.mkdir()
    scout = ("matrix", "matrix = [48, 48]"), ("partitions", "partitions = 42"), ("thickness_mm", "thickness_mm = 6.0")
    changed_protocol(folder, "scout_3d", *scout, ("locate", "locate = 60000.0"))
    scan = ("matrix", "matrix = [48, 48]"), ("slices", "slices = 2"), ("calibration_lines", "calibration_lines = 16")
    changed_protocol(folder, "brain_gre_r4", *scan)
    shown = {}
    # Two servers: what is known of the first exam is in the folder alone.
    later = ("again", "Jane", LATER, EXAM), ("other", "John", LATER, EXAM)
    for exams in ((("first", "Jane", FIRST, EXAM + SCAN),), later):
        with running(ServeOptions(port=0, protocols=(folder,), priors=out / "priors")) as server:
            sending = Sending(Address("127.0.0.1", server.port, server.bus_address), virtual_time=True)
            for name, subject, pose, text in exams:
                words = text.format(subject=subject, turn=[*pose.turn_deg], shift=[*pose.shift_mm], folder=folder)
                (out / f"{name}.toml").write_text(words, encoding="utf-8")
                shown[name] = run_exam(load_exam(str(out / f"{name}.toml")), sending, out / name, lambda *_: None)
                assert [scan.result.errors for scan in shown[name]] == [[]] * len(shown[name])
    return shown


def asked(scan):
    (made,) = [one for one in scan.result.prescriptions if one.plan == PLAN]
    return made


def test_planes_of_the_first_exam_come_back_within_a_millimetre_and_a_degree_of_the_anatomy(prescribed):
    set_then = measured(prescribed["first"][1].images)
    again = asked(prescribed["again"][0])
    assert (again.status, again.reasons[0]) == ("OK", f"as_before: as on {date.today().isoformat()}")
    gone = between(*(true_stack("mni", PLAN, pose) for pose in (FIRST, LATER)))
    off = apart(carried(set_then, gone), again.stack)
    assert off.centre_mm < 1.0
    assert off.turn_deg < 1.0


def test_the_planes_of_another_subject_are_those_of_landmarks(prescribed):
    again, other = asked(prescribed["again"][0]), asked(prescribed["other"][0])
    assert not any("as_before" in reason for reason in other.reasons)
    # The operator of the first exam had shifted the slices by 5 mm.
    assert 4.0 < apart(other.stack, again.stack).centre_mm < 6.5

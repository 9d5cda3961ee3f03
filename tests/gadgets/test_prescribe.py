"""Laws of the prescribe gadget: a scout's landmarks become prescriptions, in three ways alike, or a reason why not."""

import time
from dataclasses import replace

import pytest

from gadgets.prescribe import prescribe
from gadgets.serve import ServeOptions, running
from protocols.bus import Subscriber
from protocols.events import Flag, Prescription, Severity
from protocols.header import write_header
from protocols.landmarks import write_landmarks
from protocols.messages import Close, Config, Failure, Feedback, Header, Image, Text
from protocols.prescription import NAME, decode
from tests.engines.positioning.heads import posed, without
from tests.making import PLANNED, context, scan
from tests.peer import PATIENCE_S, raw, small_scan, talk, wire

SCOUT = replace(scan(), measurement_id="scout_1", patient_position="HFS")
PLANS = ["brain_axial", "midline_sagittal", "hippocampus_coronal", "orbits"]


@pytest.fixture
def write(tmp_path):
    def write(found):
        path = tmp_path / "found.toml"
        path.write_text(write_landmarks(found), encoding="utf-8")
        return str(path)

    return write


def run(file, *messages, of=SCOUT, **more):
    return list(prescribe(context(of=of), file, **more)(iter(messages)))


def test_every_plan_leaves_on_the_bus_in_bytes_and_as_a_flag_behind_the_images(write):
    got = run(write(posed(time_s=time.time())), Text("an image"))
    assert [type(m) for m in got] == [Text, *[Prescription, Feedback, Flag] * 4]
    for made, word, flag, name in zip(got[1::3], got[2::3], got[3::3], PLANS, strict=True):
        assert (made.plan, made.status, made.scout_measurement_id) == (name, "OK", "scout_1")
        assert word.name == NAME
        assert decode(word.data) == made
        assert (flag.severity, flag.evidence) == (Severity.PASS, {"plan": name})


def test_what_is_missing_is_refused_by_name_and_the_rest_is_prescribed(write):
    got = run(write(without(posed(time_s=time.time()), "chiasm")))
    assert [made.status for made in got[::3]] == ["OK", "OK", "OK", "REFUSED"]
    assert got[-1].severity is Severity.WARN
    assert got[-1].message.startswith("orbits is refused: landmark_missing: 'chiasm'")
    assert got[-1].advice == "plan the slices by hand"


@pytest.mark.parametrize(
    ("found", "match"),
    [
        (posed(time_s=time.time(), measurement_id="scout_0"), "stale: the landmarks are of scout 'scout_0'"),
        (posed(time_s=1.0), "stale: the scout is "),
    ],
)
def test_landmarks_of_another_scout_are_stale(found, match, write):
    made, _, flag = run(write(found), plan="orbits")
    assert (made.status, made.stack) == ("REFUSED", None)
    assert match in flag.message


def test_a_doubt_is_a_review_with_its_place(write):
    made, _, flag = run(write(posed(time_s=time.time(), snr=2.0)), plan="brain_axial")
    assert made.status == "REVIEW"
    assert made.stack is not None
    assert flag.severity is Severity.WARN
    assert "low_snr" in flag.message


@pytest.mark.parametrize(
    ("more", "match"), [({}, "cannot be read"), ({"anatomy": "knee"}, "no such anatomy")]
)  # fmt: skip
def test_without_a_file_or_an_anatomy_nothing_is_prescribed_and_a_flag_says_so(more, match, write, tmp_path):
    file = write(posed(time_s=time.time())) if more else str(tmp_path / "absent.toml")
    _, flag = run(file, Text("an image"), **more)
    assert flag.severity is Severity.UNKNOWN
    assert match in flag.message


def test_after_a_scan_that_broke_off_nothing_is_prescribed(write):
    assert len(run(write(posed(time_s=time.time())), Failure("gone"))) == 1


def test_the_prescription_reaches_the_scanner_over_the_wire_and_the_bus(write):
    file = write(posed(time_s=time.time()))
    of = replace(small_scan(), measurement_id="scout_1", patient_position="HFS", protocol_name="scout")
    with running(ServeOptions(port=0)) as server, Subscriber(server.bus_address, ["prescription"]) as bus:
        assert server.publisher.wait_for_subscriptions(1)
        opening = [Config(PLANNED.format(file=file), is_name=False), Header(write_header(of))]
        got = talk(server.port, [wire([*opening, raw(), Close()])])
        heard = bus.receive(PATIENCE_S)
    (word,) = [message for message in got if isinstance(message, Feedback)]
    assert decode(word.data) == heard.model_copy(update={"session": ""})
    assert heard.plan == "brain_axial"
    kinds = [type(message) for message in got]
    assert kinds.index(Image) < kinds.index(Feedback)

"""`scanside plan`: prescriptions on the command line, and consoles that answer, or do not, or otherwise."""

import json
import threading
import time
from contextlib import contextmanager

import pytest
import zmq
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.plan import submit
from hw_sim.desk import Desk, applied, reach_of
from hw_sim.planes import planes
from hw_sim.prescribed import AtDesk, Lying, at_desk
from protocols.bus import Answers, BusError, ask
from protocols.bus_ask import Patience
from protocols.events import Health, Prescription
from protocols.geometry import rotation_of
from protocols.landmarks import write_landmarks
from protocols.prescription import Answer, decode
from protocols.scan_protocol import find
from protocols.simulate import Simulate
from protocols.stack import Stack, centres_mm
from tests.engines.positioning.heads import posed, without

ANYWHERE = "tcp://127.0.0.1:*"
SEQUENCE = find("brain_gre_r4").simulate


def prescription(**changes):
    stack = Stack(
        centre_mm=(1.04, -2, 30), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
        field_of_view_mm=(240, 200), thickness_mm=4, gap_mm=1, slices=24,
    )  # fmt: skip
    given = {"id": "00000000000000ab", "status": "OK", "patient_position": "HFS", "stack": stack}
    return Prescription(**{**given, **changes})


def answer(**changes):
    asked = prescription()
    given = {"id": asked.id, "decision": "accepted", "patient_position": "HFS", "stack": asked.stack}
    return Answer(**{**given, **changes}).model_dump(mode="json")


@contextmanager
def console(reply):
    """A console that answers every prescription alike."""
    with Answers(ANYWHERE, lambda: Health(status="ready", release="0"), {"prescription": lambda _: reply}) as made:
        yield made.address


@contextmanager
def desk(**more):
    """The simulated console, and everything it took."""
    made = Desk(SEQUENCE, **{"patient_position": "HFS", **more})
    with Answers(ANYWHERE, lambda: Health(status="ready", release="0"), {"prescription": made.question}) as answers:
        yield answers.address, made


def test_a_console_that_does_as_it_is_told_needs_no_words():
    with desk() as (address, made):
        assert submit(prescription(), address, None) == []
    taken = made.taken.get_nowait()
    assert taken.answer.decision == "accepted"
    assert taken.answer.stack.centre_mm[0] == pytest.approx(1.0)  # the console rounds, which is no difference


def test_a_console_that_never_answers_is_told_with_what_happens_then():
    context = zmq.Context()
    silent = context.socket(zmq.REP)
    port = silent.bind_to_random_port("tcp://127.0.0.1")
    (told,) = submit(prescription(), f"tcp://127.0.0.1:{port}", None, Patience(0.2))
    silent.close(linger=0)
    context.term()
    assert "no answer from" in told
    assert told.endswith("within 0.2 s: the scan keeps its default planes")


def test_the_last_answer_of_a_console_that_answers_twice_counts():
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")

    def reply_twice():
        peer, empty, _ = router.recv_multipart()
        second = answer(decision="refused", stack=None)
        for said in (answer(), second):
            router.send_multipart([peer, empty, json.dumps({"prescription": said}).encode()])

    thread = threading.Thread(target=reply_twice)
    thread.start()
    told = submit(prescription(), f"tcp://127.0.0.1:{port}", None)
    assert told == [
        "the console answered twice, accepted, then refused; the last answer counts",
        "the console refused it: the scan keeps its default planes",
    ]
    thread.join()
    router.close(linger=0)
    context.term()


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (answer(id="00000000000000ac"), "the answer is to prescription 00000000000000ac"),
        (answer(table_position_mm=(0, 0, -20)), "the table has moved by 20.0 mm"),
        ({"decision": "accepted"}, "the answer cannot be read (id: Field required)"),
        ("yes", "the answer cannot be read"),
        (answer() | {"decision": "perhaps"}, "(decision: Input should be 'accepted'"),
    ],
)
def test_an_answer_to_something_else_or_of_another_kind_is_told(reply, match):
    with console(reply) as address:
        (told,) = submit(prescription(), address, None)
    assert match in told


@pytest.mark.parametrize(
    ("more", "asked", "match"),
    [
        ({"decision": "refuse"}, {}, "the console refused it: the operator refused it"),
        ({"decision": "override"}, {}, "other values (overridden): the middle by 5.0 mm: the operator knows better"),
        ({"patient_position": "FFS"}, {}, "refused it: the patient lies FFS, not HFS"),
        ({}, {"expires_s": 7.0}, "refused it: it is stale since "),
        ({}, {"status": "REFUSED", "stack": None, "reasons": ("landmark_missing: 'ac'",)},
         "refused it: nothing was prescribed: landmark_missing: 'ac'"),
        ({"table_position_mm": (0, 0, 30)}, {}, "the table has moved by 30.0 mm"),
    ],
)  # fmt: skip
def test_what_the_simulated_console_does_otherwise_is_told(more, asked, match):
    with desk(**more) as (address, _):
        (told,) = submit(prescription(**asked), address, None)
    assert match in told


def test_a_field_of_view_that_the_gradients_cannot_do_is_refused_with_their_least():
    fast = Simulate(matrix=(512, 512), bandwidth_hz_per_pixel=500)
    assert reach_of(fast).field_of_view_mm[0] == pytest.approx(512 * 500 / 42.577e6 / 0.045 * 1e3)
    wide = prescription(stack=prescription().stack.model_copy(update={"field_of_view_mm": (120.0, 240.0)}))
    (why,) = Desk(fast, "HFS").decide(wide, 0.0).reasons
    assert why == "field of view along read 120.0 mm; the gradients allow 133.6 to 500.0 mm"


def test_what_is_no_prescription_is_answered_with_an_error():
    with desk() as (address, _), pytest.raises(BusError, match="ValueError: no prescription: Field required"):
        ask(address, "prescription", timeout_s=30.0, prescription={"status": "OK"})


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 1), (0.2, -0.3, 0.1, 0.9), (0, 1, 0, 0.02)])
def test_a_stack_that_is_applied_is_measured_slice_for_slice_where_it_was_asked(quaternion):
    read, phase, slice_ = rotation_of(quaternion).T.tolist()
    stack = prescription().stack.model_copy(update={"read_dir": read, "phase_dir": phase, "slice_dir": slice_})
    made = planes(applied(find("scout").simulate, stack))
    assert [plane.centre_mm for plane in made] == [pytest.approx(tuple(mm)) for mm in centres_mm(stack)]
    assert {(plane.read_dir, plane.phase_dir, plane.slice_dir) for plane in made} == {
        (tuple(read), tuple(phase), tuple(slice_))
    }


def test_a_console_to_which_nobody_comes_keeps_its_default_planes_and_says_so():
    told = []
    simulate, words = at_desk(SEQUENCE, Lying(), AtDesk(ANYWHERE, patience_s=0.0), told.append)
    assert (simulate, words) == (SEQUENCE, ())
    assert told[-1] == "no prescription came within 0 s: the default planes are measured"


@pytest.mark.parametrize(("decision", "done"), [("accept", "accepted"), ("refuse", "refused")])
def test_a_console_says_what_was_asked_and_what_it_does(decision, done):
    told, calls = [], []

    def tell(line):
        told.append(line)
        if line.startswith("waiting"):
            address = line.rpartition(" ")[2]
            calls.append(threading.Thread(target=submit, args=(prescription(plan="brain_axial"), address, None)))
            calls[0].start()

    simulate, words = at_desk(SEQUENCE, Lying(), AtDesk(ANYWHERE, decision, 20.0), tell)
    calls[0].join()
    asked, said = (decode(word.data) for word in words)
    assert asked.id == said.id == prescription().id
    assert said.decision == done
    assert (simulate == SEQUENCE) == (decision == "refuse")
    assert told[-1].startswith("prescription 00000000000000ab ")


def scanside(*words):
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, ["plan", *words])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "found.toml"
    path.write_text(write_landmarks(posed(time_s=time.time())), encoding="utf-8")
    return str(path)


def test_the_command_shows_every_plan_with_plane_middle_and_field_of_view(file):
    done = scanside("--landmarks", file)
    assert done.exit_code == 0
    row = next(line for line in done.stdout.splitlines() if "brain_axial" in line)
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "brain_axial", "OK", "T", "0.1 12.2 12.0", "172 x 224", "28 x 4 + 1", "-",
    ]  # fmt: skip


def test_the_command_refuses_by_name_and_fails(file, tmp_path):
    path = tmp_path / "less.toml"
    path.write_text(write_landmarks(without(posed(time_s=time.time()), "chiasm")), encoding="utf-8")
    done = scanside("--landmarks", str(path), "--plan", "orbits")
    assert done.exit_code == 1
    assert "orbits: landmark_missing: 'chiasm' (middle of the optic chiasm) was not found" in done.stdout
    done = scanside("--landmarks", file, "--plan", "orbit")
    assert done.exit_code == 1
    assert "Did you mean 'orbits'" in done.stderr


def test_the_command_speaks_json_that_is_a_prescription(file):
    done = scanside("--landmarks", file, "--plan", "midline_sagittal", "--json")
    assert Prescription.model_validate_json(done.stdout).stack.slices % 2 == 1


def test_the_command_asks_a_console_and_fails_where_it_does_otherwise(file):
    with desk() as (address, made):
        done = scanside("--landmarks", file, "--plan", "brain_axial", "--console", address)
        assert (done.exit_code, done.stderr) == (0, "")
        assert made.taken.get_nowait().asked.plan == "brain_axial"
        done = scanside("--landmarks", file, "--console", address)
        assert done.exit_code == 1
        assert "--console takes one prescription, 4 were made" in done.stderr
    with desk(decision="refuse") as (address, _):
        done = scanside("--landmarks", file, "--plan", "brain_axial", "--console", address)
        assert done.exit_code == 1
        assert "the console refused it" in done.stderr

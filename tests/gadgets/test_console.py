"""Consoles that are asked over the bus and answer, or do not, twice, otherwise, or with nonsense."""

import json
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import zmq

from gadgets.console import MOST, Console, Outcome, Site, asking
from gadgets.serve import ServeOptions, running
from protocols.bus import Answers, BusError, Subscriber, make_keys
from protocols.bus_ask import Patience
from protocols.events import Health, Prescription, Severity
from protocols.header import write_header
from protocols.landmarks import write_landmarks
from protocols.messages import Close, Config, Feedback, Header, Text
from protocols.prescription import Answer
from protocols.stack import Stack
from tests.engines.positioning.heads import posed
from tests.making import PLANNED, context
from tests.peer import PATIENCE_S, raw, small_scan, talk, wire

STACK = Stack(
    centre_mm=(1, -2, 30), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
    field_of_view_mm=(240, 200), thickness_mm=4, gap_mm=1, slices=24,
)  # fmt: skip
ASKED = Prescription(id="00000000000000ab", status="OK", plan="brain_axial", patient_position="HFS", stack=STACK)
REFUSED = ASKED.model_copy(update={"status": "REFUSED", "stack": None, "reasons": ("landmark_missing: 'ac'",)})
LONG = Patience(PATIENCE_S, PATIENCE_S)


def answer(decision="accepted", of=ASKED, **changes):
    given = {"stack": None if decision == "refused" else of.stack, "patient_position": of.patient_position, **changes}
    said = Answer(id=of.id, decision=decision, **given).model_dump(mode="json")
    return json.dumps({"version": 1, "prescription": said}).encode()


@contextmanager
def console(*answers):
    """A ROUTER that gives each question all of these answers: bytes, or a function of the prescription."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.PAIR) as stop:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        stop.bind("inproc://stop")

        def run():
            with context.socket(zmq.PAIR) as stopped:
                stopped.connect("inproc://stop")
                poller = zmq.Poller()
                for socket in (router, stopped):
                    poller.register(socket, zmq.POLLIN)
                while stopped not in (ready := dict(poller.poll())):
                    assert router in ready
                    peer, empty, body = router.recv_multipart()
                    asked = Prescription.model_validate(json.loads(body)["prescription"])
                    for one in answers:
                        router.send_multipart([peer, empty, one(asked) if callable(one) else one])

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            stop.send(b"")
            thread.join()


@contextmanager
def asked(address, patience=LONG):
    """A function that puts a prescription to a console, and waits for what is told next."""
    told = queue.Queue()
    made = Console(Site(address, patience=patience))
    try:
        made.put(ASKED, told.put)
        yield lambda: told.get(timeout=PATIENCE_S)
    finally:
        made.close()


def test_a_console_that_does_as_it_is_asked_passes():
    with console(answer()) as address, asked(address) as told:
        assert told() == Outcome(Severity.PASS, "the console set what was asked")


def test_other_values_are_named_with_how_far_they_are_off():
    other = STACK.model_copy(update={"centre_mm": (1, -2, 33), "field_of_view_mm": (240, 230), "slices": 20})
    with console(answer(stack=other)) as address, asked(address) as told:
        assert told() == Outcome(
            Severity.WARN,
            "the console set other values (accepted): the middle by 3.0 mm, "
            "the field of view along phase 230.0 instead of 200.0 mm, 20 instead of 24 slices",
        )


def test_a_refusal_bears_its_reasons_and_what_happens_then():
    with console(answer("refused", reasons=("too wide", "too long"))) as address, asked(address) as told:
        assert told() == Outcome(
            Severity.WARN, "the console refused it: too wide; too long: the scan keeps its default planes"
        )


def test_a_console_that_never_answers_is_told_when_patience_ends():
    with console() as address, asked(address, Patience(0.2, 0.2)) as told:
        text = f"no answer from the console at {address} within 0.2 s: the scan keeps its default planes"
        assert told() == Outcome(Severity.UNKNOWN, text)


def test_of_a_console_that_answers_twice_the_last_answer_counts():
    with console(answer(), answer(), answer("refused")) as address, asked(address) as told:
        assert [told() for _ in range(3)] == [
            Outcome(Severity.PASS, "the console set what was asked"),
            Outcome(Severity.WARN, "the console answered twice, accepted, then refused; the last answer counts"),
            Outcome(Severity.WARN, "the console refused it: the scan keeps its default planes"),
        ]


@pytest.mark.parametrize(
    ("garbage", "match"),
    [
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"version": 1, "health": {}}', 'wanted JSON like {"prescription": …}'),
        (b'{"error": "no question \'prescription\'"}', "no question 'prescription'"),
        (b'{"prescription": {"id": "ab"}}', "the answer cannot be read (id: String should match"),
        (b'{"prescription": 7}', "the answer cannot be read (as a whole: Input should be"),
    ],
)
def test_what_cannot_be_read_leaves_unknown_what_was_set_until_a_good_answer_comes(garbage, match):
    with console(garbage, answer()) as address, asked(address) as told:
        first = told()
        assert first.severity is Severity.UNKNOWN
        assert match in first.text
        assert first.text.endswith("; what was set is not known")
        assert told().severity is Severity.PASS


def test_a_console_that_never_stops_answering_is_not_listened_to_for_ever():
    babble = (answer(), answer("refused")) * 20
    with console(*babble) as address, asked(address) as told:
        while "refused it" not in told().text:
            pass


def test_more_than_may_wait_are_not_asked_and_that_is_told_at_once():
    told = queue.Queue()
    with console() as address:
        made = Console(Site(address, patience=LONG))
        for _ in range(MOST + 1):
            made.put(ASKED, told.put)
        assert told.get_nowait().text.startswith(f"the console was not asked, {MOST} prescriptions are waiting")
        made.close()  # frees those who wait
    assert told.empty()


def test_an_address_that_is_none_or_not_of_this_machine_is_refused_at_once(tmp_path):
    with pytest.raises(BusError, match="Wanted for example"):
        Console(Site("tcp://127.0.0.1:here"))
    with pytest.raises(BusError, match="needs CURVE keys"):
        Console(Site("tcp://192.0.2.1:9004"))
    make_keys(tmp_path)
    Console(Site("tcp://192.0.2.1:9004", tmp_path)).close()


def test_with_keys_a_console_answers_those_it_admits(tmp_path):
    make_keys(tmp_path)
    said = json.loads(answer())["prescription"]
    health, told = Health(status="ready", release="0"), queue.Queue()
    with Answers("tcp://127.0.0.1:*", lambda: health, {"prescription": lambda _: said}, keys=tmp_path) as answers:
        made = Console(Site(answers.address, tmp_path, LONG))
        made.put(ASKED, told.put)
        assert told.get(timeout=PATIENCE_S).severity is Severity.PASS
        made.close()


def test_only_what_has_a_place_is_asked_and_everything_passes():
    flags, here = [], context()
    with console(answer()) as address:
        made = Console(Site(address, patience=LONG))
        messages = [Text("an image"), REFUSED, ASKED, Text("the end")]
        assert list(asking(here, made, flags.append)(iter(messages))) == messages
        made.close()
    (flag,) = flags
    assert here.memory.answers.get((ASKED.id,)).decision == "accepted"
    assert (flag.code, flag.severity) == ("console_answer", Severity.PASS)
    assert flag.evidence == {"plan": "brain_axial", "prescription": ASKED.id}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "found.toml"
    path.write_text(write_landmarks(posed(time_s=time.time())), encoding="utf-8")
    return str(path)


@contextmanager
def scouted(file, address, end_s=PATIENCE_S):
    """What a scanner is told of a scout from a server that asks a console, and what comes over the bus."""
    site = Site(address, patience=LONG, end_s=end_s)
    of = replace(small_scan(), measurement_id="scout_1", patient_position="HFS")
    with running(ServeOptions(port=0, console=site)) as server, Subscriber(server.bus_address, ["flag"]) as bus:
        assert server.publisher.wait_for_subscriptions(1)
        opening = [Config(PLANNED.format(file=file), is_name=False), Header(write_header(of))]
        told = talk(server.port, [wire([*opening, raw(), Close()])])
        yield told, (one for one in bus.events(PATIENCE_S) if one.code == "console_answer")


def test_the_scanner_and_the_bus_hear_what_the_console_set(file):
    def fewer(of):
        return answer("overridden", of, stack=of.stack.model_copy(update={"slices": 3}), reasons=("no time",))

    with console(fewer) as address, scouted(file, address) as (told, flags):
        flag = next(flags)
    assert flag.severity is Severity.WARN
    assert "brain_axial: the console set other values (overridden): 3 instead of " in flag.message
    assert any(isinstance(one, Text) and one.text.startswith(f"WRN console_answer: {flag.message}") for one in told)
    assert any(isinstance(one, Feedback) for one in told)
    assert isinstance(told[-1], Close)


def test_what_a_console_says_after_the_scan_is_on_the_bus_alone(file):
    gone = threading.Event()

    def later(of):
        assert gone.wait(PATIENCE_S)
        return answer("refused", of)

    with console(later) as address, scouted(file, address, end_s=0.0) as (told, flags):
        gone.set()
        flag = next(flags)
    assert not any(isinstance(one, Text) and "console_answer" in one.text for one in told)
    assert isinstance(told[-1], Close)
    assert (flag.severity, flag.evidence["plan"]) == (Severity.WARN, "brain_axial")

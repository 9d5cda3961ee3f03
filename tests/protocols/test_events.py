"""What goes over the bus survives it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.events import EVENTS, Flag, Health, ImageReady, Metrics, Prescription, Quality, Severity
from protocols.stack import Stack

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
DIRECTION = st.tuples(NUMBER, NUMBER, NUMBER)
FLAGS = st.builds(
    Flag,
    code=st.from_regex(r"\A[a-z0-9_]+\Z"),
    severity=st.sampled_from(Severity),
    message=st.text(),
    score=st.none() | NUMBER,
    evidence=st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())),
)
STACKS = st.builds(
    Stack, centre_mm=DIRECTION, read_dir=DIRECTION, phase_dir=DIRECTION, slice_dir=DIRECTION,
    field_of_view_mm=st.tuples(NUMBER, NUMBER), thickness_mm=NUMBER, gap_mm=NUMBER,
)  # fmt: skip
EVENT = st.one_of(
    FLAGS,
    st.builds(Metrics, readouts=st.integers(), stage_p50_ms=st.dictionaries(st.text(), NUMBER)),
    st.builds(ImageReady, latency_ms=NUMBER),
    st.builds(Quality, figures=st.dictionaries(st.text(), st.none() | NUMBER)),
    st.builds(Health, uptime_s=NUMBER, resident_mib=NUMBER),
    st.builds(Prescription, id=st.from_regex(r"\A[0-9a-f]{16}\Z"), status=st.just("OK"), stack=STACKS),
    st.builds(Prescription, id=st.just("0" * 16), status=st.just("REFUSED"), stack=st.none(),
              reasons=st.tuples(st.text())),
)  # fmt: skip


@given(EVENT)
def test_an_event_survives_json(event):
    assert EVENTS[event.topic].model_validate_json(event.model_dump_json()) == event


def test_a_score_that_is_no_number_becomes_null_so_that_every_json_reader_can_read_it():
    flag = Flag(code="snr", severity=Severity.UNKNOWN, message="", score=math.nan)
    assert '"score":null' in flag.model_dump_json()
    assert Flag.model_validate_json(flag.model_dump_json()).score is None


@pytest.mark.parametrize("wrong", [{"version": 2}, {"colour": "red"}, {"code": "SNR"}, {"severity": "BAD"}])
def test_another_version_an_unknown_key_or_a_wrong_value_is_refused(wrong):
    with pytest.raises(ValidationError):
        Flag.model_validate({"code": "snr", "severity": "PASS", "message": "", **wrong})


def test_an_event_cannot_be_changed():
    with pytest.raises(ValidationError):
        Health(status="ready", release="0").status = "busy"


def test_topics_are_told_by_the_events_themselves():
    for topic, event in EVENTS.items():
        assert event.model_fields["topic"].default == topic


STACK = Stack(
    centre_mm=(0, 0, 0), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1), field_of_view_mm=(240, 240),
    thickness_mm=4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"status": "OK"}, "a stack belongs to OK"),
        ({"status": "REFUSED", "stack": STACK, "reasons": ["x"]}, "none to REFUSED"),
        ({"status": "REFUSED"}, "without a reason"),
        ({"status": "REVIEW", "stack": STACK}, "without a reason"),
    ],
)
def test_a_prescription_says_where_or_why_not_and_never_both(said, match):
    with pytest.raises(ValidationError, match=match):
        Prescription(id="0" * 16, patient_position="HFS", **said)

"""Prescriptions: their bytes, and what a console makes of them."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.errors import PeerError
from protocols.events import Prescription
from protocols.geometry import quaternion_of, rotation_of
from protocols.prescription import HEAD, Answer, decode, differences, encode
from protocols.stack import Reach, Stack, apart, centres_mm, plane_names, wrong_with

mm = st.floats(-200, 200)
turns = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]))
ids = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
times = st.floats(0, 4e9)
positions = st.sampled_from(["HFS", "HFP", "HFDR", "FFDL"])


def stack(rotation=None, **changes):
    read, phase, slice_ = (np.eye(3) if rotation is None else rotation).T.tolist()
    given = {
        "centre_mm": (1.0, -2.0, 30.0), "read_dir": read, "phase_dir": phase, "slice_dir": slice_,
        "field_of_view_mm": (240.0, 200.0), "thickness_mm": 4.0, "gap_mm": 1.0, "slices": 24,
    }  # fmt: skip
    return Stack(**{**given, **changes})


@st.composite
def stacks(draw):
    return stack(
        rotation_of(draw(turns)),
        centre_mm=draw(st.tuples(mm, mm, mm)),
        field_of_view_mm=draw(st.tuples(st.floats(50, 400), st.floats(50, 400))),
        slices=draw(st.integers(1, 99)),
    )


def asked(**changes):
    return Prescription(id="00000000000000ab", status="OK", patient_position="HFS", stack=stack(), **changes)


def answer(**changes):
    given = {"id": "00000000000000ab", "decision": "accepted", "patient_position": "HFS", "stack": stack()}
    return Answer(**{**given, **changes})


PLACED = st.builds(
    Prescription, id=ids, time_s=times, session=st.just(""), status=st.sampled_from(["OK", "REVIEW"]), stack=stacks(),
    reasons=st.lists(words.filter(bool), min_size=1).map(tuple), anatomy=words, plan=words, patient_position=positions,
    table_position_mm=st.tuples(mm, mm, mm), scout_measurement_id=words, region90_mm=st.none() | mm,
    region90_deg=st.none() | mm, expires_s=st.none() | times,
)  # fmt: skip
REFUSED = st.builds(
    Prescription, id=ids, time_s=times, session=st.just(""), status=st.just("REFUSED"), stack=st.none(),
    reasons=st.lists(words.filter(bool), min_size=1).map(tuple), patient_position=positions,
)  # fmt: skip
ANSWERS = st.builds(
    Answer, id=ids, time_s=times, decision=st.sampled_from(["accepted", "overridden"]), stack=stacks(),
    reasons=st.lists(words.filter(bool)).map(tuple), patient_position=positions,
)  # fmt: skip


@given(PLACED | REFUSED | ANSWERS)
def test_a_prescription_and_an_answer_survive_their_bytes(message):
    assert decode(encode(message)) == message


def test_the_bytes_stand_where_the_table_says():
    data = encode(asked(time_s=7.0, table_position_mm=(0, 0, -430), scout_measurement_id="scout_1", expires_s=9.0))
    assert HEAD.itemsize == 208
    assert struct.unpack_from("<HBBIQ", data) == (1, 0, 0, 24, 0xAB)
    assert struct.unpack_from("<dd", data, 16) == (7.0, 9.0)
    assert struct.unpack_from("<3d", data, 32) == (1.0, -2.0, 30.0)
    assert struct.unpack_from("<9d", data, 56) == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert struct.unpack_from("<4d", data, 128) == (240, 200, 4, 1)
    assert struct.unpack_from("<3d", data, 160) == (0, 0, -430)
    assert np.isnan(struct.unpack_from("<2d", data, 184)).all()
    assert data[200:208] == b"HFS\0\0\0\0\0"
    assert data[208:] == b"\7\0\0\0scout_1" + bytes(12)


@given(PLACED | ANSWERS, st.data())
def test_a_message_that_is_cut_or_too_long_is_the_peers_mistake(message, data):
    whole = encode(message)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(PeerError, match="ScansidePrescription"):
        decode(whole[:cut])
    with pytest.raises(PeerError, match="1 bytes behind its end"):
        decode(whole + b"\0")


@pytest.mark.parametrize(
    ("at", "octets", "match"),
    [
        (0, b"\2\0", "version 2, wanted 1"),
        (2, b"\4", "role 4"),
        (3, b"\3", "status 3"),
        (3, b"\2", "none to REFUSED"),
        (4, bytes(4), "a stack belongs to OK"),
        (208, b"\1\0\0\0\xff", "text 1 of 4 is not UTF-8"),
    ],
)
def test_bytes_that_mean_nothing_are_the_peers_mistake(at, octets, match):
    data = encode(asked())
    with pytest.raises(PeerError, match=match):
        decode(data[:at] + octets + data[at + len(octets) :])


@given(stacks())
def test_a_right_handed_stack_within_reach_can_be_measured(one):
    assert wrong_with(one, Reach(off_centre_mm=2000)) == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"read_dir": (0.9, 0, 0)}, "perpendicular unit vectors"),
        ({"read_dir": (0, 1, 0), "phase_dir": (1, 0, 0)}, "left-handed"),
        ({"read_dir": (0, 0, 0), "phase_dir": (0, 0, 0), "slice_dir": (0, 0, 0)}, "missing"),
        ({"centre_mm": (np.nan, 0, 0)}, "not a finite number"),
        ({"field_of_view_mm": (12.0, 200.0)}, "along read 12.0 mm; the gradients allow 20.0 to 500.0 mm"),
        ({"field_of_view_mm": (240.0, 900.0)}, "along phase 900.0 mm"),
        ({"thickness_mm": 0.0}, "thickness 0 mm"),
        ({"gap_mm": -5.0}, "gaps of -5 mm"),
        ({"slices": 0}, "0 slices"),
        ({"centre_mm": (0, 0, 240.0)}, "a slice lies 298 mm from the isocentre"),
    ],
)
def test_what_cannot_be_measured_is_told(changes, match):
    assert match in "; ".join(wrong_with(stack(**changes)))


@given(stacks(), turns, st.floats(0.01, 179))
def test_a_turned_and_shifted_stack_is_as_far_off_as_it_was_turned_and_shifted(one, about, deg):
    axis = np.array(about[:3]) if np.linalg.norm(about[:3]) > 0.1 else np.array((1.0, 0, 0))
    half = np.deg2rad(deg) / 2
    turn = rotation_of((*(np.sin(half) * axis / np.linalg.norm(axis)), np.cos(half)))
    read, phase, slice_ = (turn @ one.axes()).T.tolist()
    centre = np.add(one.centre_mm, (3, 0, -4))
    other = one.model_copy(
        update={"read_dir": read, "phase_dir": phase, "slice_dir": slice_, "centre_mm": tuple(centre)}
    )
    off = apart(one, other)
    assert off.turn_deg == pytest.approx(deg, abs=1e-6)
    assert off.centre_mm == pytest.approx(5)
    assert (off.extent_mm, off.slices) == (0, 0)
    assert apart(one, one).turn_deg < 1e-6


def test_slices_are_counted_along_the_slice_direction_about_the_centre():
    places = centres_mm(stack(slices=3))
    assert places.tolist() == [[1, -2, 25], [1, -2, 30], [1, -2, 35]]


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        ((0, 0, 0, 1), "T"),
        ((np.sin(0.1), 0, 0, np.cos(0.1)), "T > C -11.5"),
        ((0, np.sin(0.05), 0, np.cos(0.05)), "T > S 5.7"),
        ((np.sqrt(0.5), 0, 0, np.sqrt(0.5)), "C"),
        ((0, np.sqrt(0.5), 0, np.sqrt(0.5)), "S"),
    ],
)
def test_a_plane_is_named_as_consoles_do(turn, name):
    assert plane_names(stack(rotation_of(turn))) == name


def test_a_console_that_does_as_told_differs_in_nothing():
    assert differences(asked(), answer()) == ()
    rounded = stack(centre_mm=(1.04, -2.0, 30.0))
    assert differences(asked(), answer(stack=rounded)) == ()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"id": "00000000000000ac"}, "the answer is to prescription 00000000000000ac"),
        ({"decision": "refused", "stack": None, "reasons": ("too wide",)}, "the console refused it: too wide"),
        ({"stack": stack(centre_mm=(1.0, -2.0, 32.0))}, "other values (accepted): the middle by 2.0 mm"),
        (
            {"decision": "overridden", "reasons": ("tumour",)},
            "other values (overridden): none of them by more than 1 mm or 1 deg: tumour",
        ),
        (
            {"stack": stack(field_of_view_mm=(220, 200), gap_mm=3)},
            "along read 220.0 instead of 240.0 mm, the gap 3.0 inst",
        ),
        ({"stack": stack(slices=20)}, "20 instead of 24 slices"),
        ({"stack": stack(read_dir=(2, 0, 0))}, "cannot be measured: read, phase and slice"),
        ({"patient_position": "FFS"}, "the patient lies FFS, the scout was HFS"),
        ({"table_position_mm": (0, 0, 5)}, "the table has moved by 5.0 mm"),
    ],
)
def test_what_a_console_does_otherwise_is_told(changes, match):
    (told,) = differences(asked(), answer(**changes))
    assert match in told


def test_a_turn_of_two_degrees_is_told():
    half = np.deg2rad(2) / 2
    turned = stack(rotation_of((0, 0, np.sin(half), np.cos(half))))
    assert quaternion_of(turned.axes())[2] == pytest.approx(np.sin(half))
    assert "other values (accepted): the directions by 2.0 deg" in differences(asked(), answer(stack=turned))[0]


def test_an_answer_sets_what_it_does_not_refuse():
    for changes in ({"stack": None}, {"decision": "refused"}):
        with pytest.raises(ValidationError, match="a stack belongs to accepted and overridden"):
            answer(**changes)

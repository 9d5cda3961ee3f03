"""Advice survives MRD 1028 byte for byte, and what is no advice is refused with what was wanted."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocols.advice import decode, encode
from protocols.errors import PeerError
from protocols.events import EVENTS, Advice, Again

NUMBER = st.integers(0, 2**32 - 1)
LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20)
FRAME = st.builds(Again, slice=NUMBER, contrast=NUMBER, repetition=NUMBER, steps=st.lists(NUMBER).map(tuple))
ADVICE = st.one_of(
    st.builds(
        Advice, protocol=LINE, action=st.just("reacquire"), reason=LINE,
        again=st.lists(FRAME, min_size=1, max_size=3).map(tuple),
        because=st.lists(LINE.filter(bool), max_size=3).map(tuple), time_s=st.floats(0, 1e10),
    ),
    st.builds(Advice, protocol=LINE, action=st.sampled_from(["stop", "abort"]), reason=LINE),
)  # fmt: skip
ONE = Advice(
    protocol="head", action="reacquire", again=(Again(slice=7, steps=(3, 9)),), reason="moved", because=("a", "b"),
    time_s=1.5,
)  # fmt: skip


@given(ADVICE)
def test_advice_survives_the_wire_and_the_bus(advice):
    assert decode(encode(advice)) == advice
    assert EVENTS["advice"].model_validate_json(advice.model_dump_json()) == advice


def test_the_bytes_are_those_of_the_table():
    head = struct.pack("<HBBId", 1, 1, 0, 1, 1.5) + struct.pack("<6I", 7, 0, 0, 2, 3, 9)
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"head", b"moved", b"a\nb"))
    assert encode(ONE) == head + texts


@given(st.integers(0, len(encode(ONE)) - 1))
def test_advice_that_ends_early_is_refused(length):
    with pytest.raises(PeerError, match="ScansideAdvice: it ends"):
        decode(encode(ONE)[:length])


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x02" + encode(ONE)[1:], "version 2, wanted 1"),
        (encode(ONE)[:2] + b"\x07" + encode(ONE)[3:], "action 7, wanted 0 to 2"),
        (encode(ONE)[:2] + b"\x00" + encode(ONE)[3:], "frames belong to reacquire"),
        (encode(ONE) + b"!", "1 bytes behind its end"),
        (encode(ONE)[:-1] + b"\xff", "not UTF-8"),
    ],
)
def test_what_is_no_advice_is_refused_with_what_was_wanted(data, word):
    with pytest.raises(PeerError, match=word):
        decode(data)


def test_an_advice_to_reacquire_nothing_is_none():
    with pytest.raises(ValidationError, match="0 frames"):
        Advice(protocol="x", action="reacquire", reason="")

"""What may follow what."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import LocalError, PeerError
from protocols.messages import Blob, Close, Config, Error, Feedback, Header, Image, Query, Readouts, Response, Text
from protocols.mrd import MessageId
from protocols.session import (
    GADGETRON_CONNECT,
    GADGETRON_EXECUTE,
    SCANNER,
    START,
    STREAMING,
    State,
    advance,
    may_send,
    rules_for,
)
from tests.protocols.strategies import anything
from tests.protocols.test_wire import batch

FILE, TEXT, HEADER = Config("cartesian", is_name=True), Config("<a/>", is_name=False), Header("<h/>")
JSON, DATA, CLOSE, ASKED = Text("{}"), batch(), Close(), Query(1, "scanside::info")
laws = settings(deadline=None)
RULES = [SCANNER, GADGETRON_CONNECT, GADGETRON_EXECUTE]


def walk(rules, messages, state=START):
    for message in messages:
        state = advance(rules, state, message)
    return state


@pytest.mark.parametrize(
    "messages",
    [
        [FILE, HEADER, DATA, CLOSE],
        [TEXT, HEADER, DATA, CLOSE],
        [FILE, HEADER, JSON, DATA, JSON, DATA, CLOSE],
        [ASKED, FILE, ASKED, HEADER, ASKED, DATA, ASKED, CLOSE],
        [ASKED, CLOSE],
        [FILE, HEADER, CLOSE],
        [FILE, HEADER, Feedback("ScansidePrescription", b"{}"), Blob(MessageId.NDARRAY, b""), CLOSE],
    ],
)
def test_a_scanner_may_say(messages):
    assert walk(SCANNER, messages) is State.CLOSED


def test_gadgetron_may_say_its_own_kinds_too():
    kinds = (MessageId.RECONDATA, MessageId.IMAGE_ARRAY, MessageId.BUCKET)
    said = [DATA, *(Blob(kind, b"") for kind in kinds), Error("over there"), CLOSE]
    assert walk(GADGETRON_CONNECT, [TEXT, HEADER, *said]) is State.CLOSED
    assert walk(GADGETRON_EXECUTE, said, STREAMING) is State.CLOSED


@pytest.mark.parametrize(
    ("rules", "messages", "words"),
    [
        (SCANNER, [DATA], "ACQUISITION from scanner while CONNECTED; expected CONFIG_FILE or QUERY or CONFIG_TEXT"),
        (SCANNER, [HEADER], "HEADER from scanner while CONNECTED"),
        (SCANNER, [FILE, FILE], "CONFIG_FILE from scanner while CONFIGURED; expected QUERY or HEADER"),
        (SCANNER, [FILE, DATA], "ACQUISITION from scanner while CONFIGURED; expected QUERY or HEADER"),
        (SCANNER, [FILE, CLOSE], "CLOSE from scanner while CONFIGURED"),
        (SCANNER, [FILE, HEADER, FILE], "CONFIG_FILE from scanner while STREAMING; expected"),
        (SCANNER, [FILE, HEADER, HEADER], "HEADER from scanner while STREAMING"),
        (SCANNER, [FILE, HEADER, CLOSE, DATA], "ACQUISITION from scanner while CLOSED; expected nothing"),
        (SCANNER, [FILE, HEADER, Blob(MessageId.BUCKET, b"")], "BUCKET from scanner while STREAMING"),
        (GADGETRON_CONNECT, [FILE], "CONFIG_FILE from Gadgetron while CONNECTED"),
        (GADGETRON_EXECUTE, [HEADER], "HEADER from Gadgetron .execute. while CONNECTED; expected nothing"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(rules, messages, words):
    with pytest.raises(PeerError, match=words):
        walk(rules, messages)


@pytest.mark.parametrize("rules", [SCANNER, GADGETRON_CONNECT])
@laws
@given(st.lists(anything, max_size=8))
def test_every_conversation_is_a_walk_through_the_table_or_an_error_that_names_the_state(rules, messages):
    state = START
    for message in messages:
        try:
            state = advance(rules, state, message)
        except PeerError as error:
            assert f"while {state.name}; expected" in str(error)  # noqa: PT017
        assert isinstance(state, State)


@pytest.mark.parametrize("rules", RULES)
def test_every_state_that_can_be_reached_can_be_left_but_for_the_last(rules):
    reached = set(rules.follows.values())
    assert {state for state, _ in rules.follows} >= reached - {State.CLOSED}
    assert State.CLOSED in reached


@pytest.mark.parametrize(
    ("kind", "to"),
    [
        (Image, {"scanner", "Gadgetron"}),
        (Readouts, {"scanner", "Gadgetron"}),
        (Close, {"scanner", "Gadgetron"}),
        (Text, {"scanner"}),
        (Feedback, {"scanner"}),
        (Response, {"scanner"}),
        (Error, {"Gadgetron"}),
        (Config, set()),
        (Header, set()),
    ],
)
def test_only_what_a_peer_understands_may_be_sent(kind, to):
    assert {rules.peer for rules in (SCANNER, GADGETRON_CONNECT) if may_send(rules, kind)} == to


MODULE = '<?xml version="1.0"?>\n<configuration><a/></configuration>'
CHAIN = "<configuration><version>2</version><stream/></configuration>"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (MODULE, GADGETRON_CONNECT),
        ("<configuration/>", GADGETRON_CONNECT),
        ('<x:configuration xmlns:x="urn:y"/>', GADGETRON_CONNECT),
        ('<?xml version="1.0"?>\n', GADGETRON_CONNECT),
        (CHAIN, SCANNER),
        ("<gadgetronStreamConfiguration/>", SCANNER),
        ("cartesian", SCANNER),
        ("", SCANNER),
        ("<configuration", SCANNER),
    ],
)
def test_gadgetron_is_recognised_by_the_configuration_of_its_node(text, rules):
    assert rules_for(Config(text, is_name=False)) is rules
    assert rules_for(Config(text, is_name=True)) is SCANNER


def test_the_peer_can_be_told_instead():
    assert rules_for(FILE, "gadgetron") is GADGETRON_CONNECT
    assert rules_for(Config(MODULE, is_name=False), "scanner") is SCANNER
    with pytest.raises(LocalError, match="peer 'fire'; wanted auto, scanner or gadgetron"):
        rules_for(FILE, "fire")

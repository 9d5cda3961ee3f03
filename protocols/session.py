"""What may follow what, and what may be sent to whom: one table a kind of peer, nothing outside the tables.

The standard: https://ismrmrd.readthedocs.io/en/latest/mrd_streaming_protocol.html
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from protocols.encode import kind_of
from protocols.errors import LocalError, PeerError
from protocols.messages import (
    Blob,
    Close,
    Config,
    Error,
    Feedback,
    Image,
    Message,
    Readouts,
    Response,
    Text,
    Waveforms,
)
from protocols.mrd import MessageId

__all__ = [
    "GADGETRON_CONNECT",
    "GADGETRON_EXECUTE",
    "SCANNER",
    "START",
    "STREAMING",
    "Rules",
    "State",
    "advance",
    "may_send",
    "rules_for",
]


class State(Enum):
    """How far a conversation has come."""

    CONNECTED = "connected"
    CONFIGURED = "configured"
    STREAMING = "streaming"
    CLOSED = "closed"


START: Final = State.CONNECTED
STREAMING: Final = State.STREAMING
Step = tuple[State, MessageId]


@dataclass(frozen=True, slots=True)
class Rules:
    """The law of one kind of peer: where each message leads, and which types we may send back."""

    peer: str
    follows: Mapping[Step, State]
    sendable: frozenset[type[Message]]


def _streaming(*kinds: MessageId) -> dict[Step, State]:
    return {(State.STREAMING, kind): State.STREAMING for kind in kinds}


# QUERY may come at any time. CLOSE as the first word is what a client sends that only asked or knocked.
_ANY_PEER: Final[dict[Step, State]] = {
    (State.CONNECTED, MessageId.QUERY): State.CONNECTED,
    (State.CONNECTED, MessageId.CONFIG_TEXT): State.CONFIGURED,
    (State.CONNECTED, MessageId.CLOSE): State.CLOSED,
    (State.CONFIGURED, MessageId.QUERY): State.CONFIGURED,
    (State.CONFIGURED, MessageId.HEADER): State.STREAMING,
    (State.STREAMING, MessageId.CLOSE): State.CLOSED,
    **_streaming(MessageId.QUERY, MessageId.ACQUISITION, MessageId.IMAGE, MessageId.WAVEFORM, MessageId.NDARRAY),
}

# A FIRE or OpenRecon client: TEXT is JSON behind the header, and log later; FEEDBACK tells what the console really set.
SCANNER: Final = Rules(
    "scanner",
    MappingProxyType(
        {
            (State.CONNECTED, MessageId.CONFIG_FILE): State.CONFIGURED,
            **_ANY_PEER,
            **_streaming(MessageId.TEXT, MessageId.FEEDBACK, MessageId.DICOM_WITHNAME),
        }
    ),
    frozenset({Readouts, Waveforms, Image, Text, Response, Feedback, Blob, Close}),
)

# Gadgetron calls TEXT from a module an "illegal message id" and ends the scan; errors travel as ERROR(8), both ways.
GADGETRON_CONNECT: Final = Rules(
    "Gadgetron",
    MappingProxyType(
        {
            **_ANY_PEER,
            **_streaming(MessageId.ERROR, MessageId.TEXT),
            **_streaming(MessageId.RECONDATA, MessageId.IMAGE_ARRAY, MessageId.BUCKET),
        }
    ),
    frozenset({Readouts, Waveforms, Image, Error, Blob, Close}),
)

# `python -m gadgetron` reads the configuration and the header itself: the conversation is streaming when we get it.
GADGETRON_EXECUTE: Final = Rules(
    "Gadgetron (execute)",
    MappingProxyType({step: state for step, state in GADGETRON_CONNECT.follows.items() if step[0] is State.STREAMING}),
    GADGETRON_CONNECT.sendable,
)


def advance(rules: Rules, state: State, message: Message) -> State:
    """One step, or a PeerError that says why not."""
    kind = kind_of(message)
    if (state, kind) not in rules.follows:
        wanted = [step[1].name for step in rules.follows if step[0] is state] or ["nothing"]
        raise PeerError(f"{kind.name} from {rules.peer} while {state.name}; expected {' or '.join(wanted)}")
    return rules.follows[state, kind]


def may_send(rules: Rules, kind: type[Message]) -> bool:
    """Tell whether messages of a type may be sent to this kind of peer."""
    return kind in rules.sendable


def rules_for(config: Config, peer: str = "auto") -> Rules:
    """Recognise the peer by its configuration, unless `peer` says "scanner" or "gadgetron".

    Gadgetron sends an external module the `<configuration>` of its node, without a `<stream>`, or, where the node has
    none, an XML declaration and nothing else. Everybody else is a scanner.
    """
    named = {"scanner": SCANNER, "gadgetron": GADGETRON_CONNECT}
    if peer in named:
        return named[peer]
    if peer != "auto":
        raise LocalError(f"peer '{peer}'; wanted auto, scanner or gadgetron")
    return GADGETRON_CONNECT if not config.is_name and _is_module_configuration(config.text.strip()) else SCANNER


def _is_module_configuration(text: str) -> bool:
    if text.startswith("<?xml") and text.endswith("?>"):
        return True
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat expands no external entity and bounds internal ones
    except (ET.ParseError, ValueError):
        return False
    tags = [element.tag.rpartition("}")[2] for element in (root, *root)]
    return tags[0] == "configuration" and "stream" not in tags

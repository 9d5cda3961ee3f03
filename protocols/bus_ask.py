"""Questions over the bus: asked once, with every answer that comes."""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq
from pydantic_core import from_json

from protocols.bus_keys import BusError, join
from protocols.bus_sockets import connect, open_socket, own_context

__all__ = ["Patience", "ask", "replies", "said_in"]

MOST: Final = 16  # answers to one question; whoever sends more is not listened to
MOST_BYTES: Final = 1 << 20  # of an answer


@dataclass(frozen=True, slots=True)
class Patience:
    """How long answers are waited for."""

    first_s: float = 2.0
    further_s: float = 0.0  # after the first


def replies(
    address: str,
    asked: Mapping[str, Any],
    keys: Path | None = None,
    patience: Patience | None = None,
    context: zmq.Context[Any] | None = None,
) -> Generator[bytes, None, None]:
    """Ask, and yield answers as they come; none at all is no error here.

    REP and ROUTER may answer; a DEALER asks, as REQ would not hear a second answer. Whoever ends a context of its own
    wakes whoever waits here: zmq.ContextTerminated.
    """
    patience = patience or Patience()
    with ExitStack() as stack:
        socket = open_socket(stack, zmq.DEALER, join(address, keys), context or own_context(stack))
        socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        connect(socket, address)
        socket.send_multipart([b"", json.dumps(asked).encode()])
        until = time.monotonic() + patience.first_s
        for number in range(MOST):
            if not socket.poll(max(0, round((until - time.monotonic()) * 1000))):
                return
            until = until if number else time.monotonic() + patience.further_s
            yield b"".join(socket.recv_multipart())


def said_in(reply: bytes, address: str, question: str) -> Any:
    """What an answer says to a question; raises BusError for one to something else, or that is none."""
    try:
        said = from_json(reply)
    except ValueError as error:
        raise BusError(f"{address}: an answer that is no JSON ({str(error)[:80]}): {reply[:40]!r}") from None
    if isinstance(said, dict) and "error" in said:
        raise BusError(f"{address}: {said['error']}")
    if not isinstance(said, dict) or question not in said:
        raise BusError(f'{address}: got {reply[:60]!r}, wanted JSON like {{"{question}": …}}')
    return said[question]


def ask(address: str, question: str, keys: Path | None = None, timeout_s: float = 2.0, **more: Any) -> Any:
    """Ask a running plugin; raises BusError where it does not answer in time, or not to this question."""
    with closing(replies(address, {"ask": question, **more}, keys, Patience(timeout_s))) as heard:
        reply = next(heard, None)
    if reply is None:
        raise BusError(f"no answer from {address} within {timeout_s:g} s; is scanside serve running there?")
    return said_in(reply, address, question)

"""Sockets of the bus: made, bound, connected, and freed together."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import zmq

from protocols.bus_keys import BusError

__all__ = ["Closing", "bind", "connect", "open_socket", "own_context"]


def open_socket(stack: ExitStack, kind: int, options: Mapping[int, Any], context: zmq.Context[Any]) -> zmq.Socket[Any]:
    """Open a socket that the stack closes; what is unsent then is dropped."""
    socket = context.socket(kind)
    stack.callback(socket.close, linger=0)
    for option, value in options.items():
        socket.setsockopt(option, value)
    return socket


def own_context(stack: ExitStack) -> zmq.Context[Any]:
    """Make a context that the stack ends."""
    context: zmq.Context[Any] = zmq.Context()
    stack.callback(context.term)
    return context


def bind(socket: zmq.Socket[Any], address: str) -> str:
    """Bind, and say where: port 0 or * is a free one."""
    wanted = address[:-2] + ":*" if address.endswith(":0") else address
    try:
        socket.bind(wanted)
    except zmq.ZMQError as error:
        raise BusError(f"bus {address}: {error}. Try tcp://127.0.0.1:* for any free port") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def connect(socket: zmq.Socket[Any], address: str) -> None:
    """Connect, now or as soon as somebody is there; raises BusError for what is no address."""
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        raise BusError(f"bus {address}: {error}. Wanted for example tcp://127.0.0.1:9003") from error


class Closing:
    """What is closed once, on leaving its block or by hand."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def close(self) -> None:
        """Free sockets and threads; what is unsent is dropped."""
        self._stack.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

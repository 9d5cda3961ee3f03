"""The bus: flags, metrics, images ready, health and prescriptions as versioned JSON over ZeroMQ."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import structlog
import zmq
from pydantic_core import from_json

from protocols.bus_ask import ask
from protocols.bus_keys import BusError, admit, join, make_keys
from protocols.bus_sockets import Closing, bind, connect, open_socket, own_context
from protocols.events import EVENTS, Event, Health
from protocols.problems import nearest

__all__ = ["Answers", "BusError", "Publisher", "Subscriber", "ask", "make_keys", "schemas"]

WAITING: Final = 10_000  # events a slow subscriber may be behind before it misses some
log = structlog.get_logger()
Question = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]  # None: nothing is answered


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of every topic, made from the types that are sent."""
    return {topic: event.model_json_schema(mode="serialization") for topic, event in EVENTS.items()}


class Publisher(Closing):
    """Publish events to whoever listens, from any thread; never waits, and counts what a slow listener missed."""

    def __init__(self, address: str, keys: Path | None = None, waiting: int = WAITING) -> None:
        super().__init__()
        self.dropped = 0
        self._lock = threading.Lock()
        self._listeners = 0
        self._closed = False
        with ExitStack() as stack:
            context = own_context(stack)
            options = stack.enter_context(admit(context, address, keys))
            self._socket = open_socket(stack, zmq.XPUB, options, context)
            self._socket.setsockopt(zmq.SNDHWM, waiting)
            self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
            self.address = bind(self._socket, address)
            self._stack = stack.pop_all()

    def publish(self, event: Event) -> None:
        """Send one event; after close it is dropped."""
        parts = [event.topic.encode(), event.model_dump_json().encode()]
        with self._lock:
            if self._closed:
                return
            self._hear()
            try:
                self._socket.send_multipart(parts, zmq.DONTWAIT)
            except zmq.Again:
                self.dropped += 1
                self._send_to_the_others(parts)

    def _send_to_the_others(self, parts: list[bytes]) -> None:
        """One listener is behind; it misses this event, the others must not."""
        self._socket.setsockopt(zmq.XPUB_NODROP, 0)
        self._socket.send_multipart(parts, zmq.DONTWAIT)
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)

    def _hear(self, timeout_ms: int = 0) -> None:
        """Count subscriptions come and gone."""
        while self._socket.poll(timeout_ms):
            self._listeners += 1 if self._socket.recv(zmq.DONTWAIT)[:1] == b"\x01" else -1
            timeout_ms = 0

    def wait_for_subscriptions(self, count: int, timeout_s: float = 5.0) -> bool:
        """Wait until so many topics are being listened to (a listener to three topics counts three)."""
        until = time.monotonic() + timeout_s
        while True:
            with self._lock:
                self._hear(20)
                if self._listeners >= count:
                    return True
            if time.monotonic() > until:
                return False

    def close(self) -> None:
        """Free socket and threads; what is unsent is dropped."""
        with self._lock:
            self._closed = True
            super().close()


class Subscriber(Closing):
    """Listen to topics, all of them unless told otherwise; belongs to one thread."""

    def __init__(self, address: str, topics: Iterable[str] = (), keys: Path | None = None) -> None:
        super().__init__()
        self.refused = 0  # events that were not as their schema says
        wanted = tuple(topics) or tuple(EVENTS)
        unknown = [topic for topic in wanted if topic not in EVENTS]
        if unknown:
            raise BusError(f"no topic '{unknown[0]}'. {nearest(unknown[0], EVENTS)}")
        with ExitStack() as stack:
            options = join(address, keys)
            self._socket = open_socket(stack, zmq.SUB, options, own_context(stack))
            self._socket.setsockopt(zmq.RCVHWM, WAITING)
            for topic in wanted:
                self._socket.subscribe(topic)
            connect(self._socket, address)
            self._stack = stack.pop_all()

    def receive(self, timeout_s: float) -> Event | None:
        """Wait for the next event; None when none came in time."""
        until = time.monotonic() + timeout_s
        while self._socket.poll(max(0, round((until - time.monotonic()) * 1000))):
            event = self._read(self._socket.recv_multipart())
            if event is not None:
                return event
        return None

    def events(self, timeout_s: float) -> Iterator[Event]:
        """Yield events until none came for so long."""
        while (event := self.receive(timeout_s)) is not None:
            yield event

    def _read(self, parts: list[bytes]) -> Event | None:
        try:
            topic, body = parts
            return EVENTS[topic.decode()].model_validate_json(body)
        except (ValueError, KeyError) as error:
            self.refused += 1
            log.warning("an event on the bus was refused", error=str(error)[:300], refused=self.refused)
            return None


class Answers(Closing):
    """Answer questions about health and schemas, and others given, in a thread of its own."""

    def __init__(
        self,
        address: str,
        health: Callable[[], Health],
        more: Mapping[str, Question] | None = None,
        keys: Path | None = None,
    ) -> None:
        super().__init__()
        self._questions: dict[str, Question] = {
            "health": lambda _: health().model_dump(mode="json"),
            "schema": lambda _: schemas(),
            **(more or {}),
        }
        with ExitStack() as stack:
            context = own_context(stack)
            options = stack.enter_context(admit(context, address, keys))
            self._stop, self._stopped = (open_socket(stack, zmq.PAIR, {}, context) for _ in range(2))
            self._stopped.bind("inproc://stop")
            self._stop.connect("inproc://stop")
            self._socket = open_socket(stack, zmq.ROUTER, options, context)
            self.address = bind(self._socket, address)
            thread = threading.Thread(target=self._run, name="answers", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(self._stop.send, b"")
            self._stack = stack.pop_all()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._stopped, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._stopped in ready:
                return
            envelope, body = _opened(self._socket.recv_multipart())
            answer = self._answer(body)
            if answer is not None:
                self._socket.send_multipart([*envelope, json.dumps(answer).encode()], zmq.DONTWAIT)

    def _answer(self, body: bytes) -> Mapping[str, Any] | None:
        try:
            question = from_json(body)
            name = str(question["ask"])
        except (ValueError, KeyError, TypeError):
            return {"version": 1, "error": 'wanted JSON like {"ask": "health"}'}
        if name not in self._questions:
            return {"version": 1, "error": f"no question '{name}'. {nearest(name, self._questions)}"}
        try:
            answer = self._questions[name](question)
        except Exception as error:
            log.exception("a question could not be answered", question=name)
            return {"version": 1, "error": f"{type(error).__name__}: {error}"}
        return None if answer is None else {"version": 1, name: answer}


def _opened(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    """Who asks, with the empty frame behind that REQ sends and DEALER need not, and what."""
    end = parts.index(b"", 1) + 1 if b"" in parts[1:] else 1
    return parts[:end], b"".join(parts[end:])

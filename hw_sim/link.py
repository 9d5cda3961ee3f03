"""The scanner's end of a session: connect, send at the scan's own pace, collect what comes back, never hang."""

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hw_sim.clock import Clock, Jitter, VirtualClock
from hw_sim.collect import Arrived, Departed, Result, key_of
from hw_sim.errors import LinkError
from protocols import advice, prescription
from protocols.bus import BusError, Subscriber
from protocols.encode import encode
from protocols.errors import PeerError, Vanished
from protocols.events import Flag, Prescription
from protocols.messages import Close, Config, Error, Feedback, Header, Image, Message, Readouts, Text
from protocols.mrd import AcqFlag, has_flag
from protocols.wire import Receiver, receive

__all__ = ["Cut", "Session", "play"]

POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the scanner falls silent for good: after so many bytes of a session, or in the middle of a readout."""

    byte: int | None = None
    readout: int | None = None  # number in the session, 0 is the first


@dataclass(frozen=True, slots=True)
class Session:
    """Where to send a scan and what to say before it."""

    host: str
    port: int
    config: str = "auto"
    bus: str | None = None
    connect_s: float = 5.0
    silence_s: float = 30.0  # longest wait for the plugin to take or to give anything
    texts: tuple[str, ...] = field(default=())  # additional JSON configuration
    obeys: bool = False  # sends nothing more when it is advised to stop or to abort


def play(
    session: Session,
    xml: str,
    messages: Iterable[tuple[int, Message]],
    clock: Clock | None = None,
    cut: Cut | None = None,
) -> Result:
    """Run one session: each message leaves at its time (ns from the first one), then CLOSE; returns what came back.

    A plugin that breaks off, stays silent or complains is told in `errors` of the result with what came before it.
    Raises LinkError where there is nobody to connect to.
    """
    result = Result()
    begun = time.monotonic()
    with _connect(session) as sock, closing(_Bus(session.bus, result)):
        listener = _Listener(sock, session, result)
        try:
            _send(_Line(sock, cut), session, xml, messages, clock or VirtualClock(), result)
        except _CutOff:
            result.errors.append(f"the simulated scanner fell silent after {result.readouts} readouts, as told")
        except OSError as problem:
            result.errors.append(_broken_off(session, result, problem))
        except BaseException:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # what cannot be sent to its end frees the plugin at once
            raise
        finally:
            listener.wait()
    result.seconds = time.monotonic() - begun
    return result


def _connect(session: Session) -> socket.socket:
    try:
        sock = socket.create_connection((session.host, session.port), timeout=session.connect_s)
    except OSError as problem:
        raise LinkError(
            f"no plugin at {session.host}:{session.port} ({problem}). "
            f"Start one with: scanside serve --port {session.port}"
        ) from problem
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(session.silence_s)
    return sock


def _broken_off(session: Session, result: Result, problem: OSError) -> str:
    what = (
        f"took nothing for {session.silence_s:g} s" if isinstance(problem, TimeoutError) else f"broke off ({problem})"
    )
    return f"{session.host}:{session.port} {what} after {result.readouts} readouts were sent"


class _CutOff(Exception):  # noqa: N818
    """The scanner has fallen silent on purpose."""


class _Line:
    """A socket that may be cut after so many bytes."""

    def __init__(self, sock: socket.socket, cut: Cut | None) -> None:
        self._socket = sock
        self._cut = cut
        self._bytes = 0
        self._readouts = 0

    def send(self, message: Message) -> None:
        """Send one message whole; raises _CutOff in the middle of the one that the cut hits."""
        data = b"".join(encode(message))
        count = len(message.headers) if isinstance(message, Readouts) else 0
        last = self._last_byte(len(data), count)
        self._socket.sendall(data[:last])
        self._bytes += len(data)
        self._readouts += count
        if last is not None:
            self._socket.shutdown(socket.SHUT_WR)
            raise _CutOff

    def _last_byte(self, size: int, readouts: int) -> int | None:
        """Where in the message at hand the line is cut, if it is."""
        cut = self._cut or Cut()
        if cut.byte is not None and cut.byte < self._bytes + size:
            return cut.byte - self._bytes
        if cut.readout is not None and cut.readout < self._readouts + readouts:
            one = size // readouts
            return (cut.readout - self._readouts) * one + one // 2
        return None


def _send(
    line: _Line, session: Session, xml: str, messages: Iterable[tuple[int, Message]], clock: Clock, result: Result
) -> None:
    """Greet, stream, close."""
    line.send(Config(session.config, is_name=True))
    line.send(Header(xml))
    for text in session.texts:
        line.send(Text(text))
    late_ns: list[int] = []
    for due_ns, message in messages:
        late_ns.append(clock.wait_until(due_ns))
        if session.obeys and result.stops:
            result.stopped = True
            break
        result.begun_ns = result.begun_ns or time.monotonic_ns()
        if isinstance(message, Readouts):
            _note(message, result)
        line.send(message)
    result.jitter = Jitter.of(late_ns)
    line.send(Close())


def _note(batch: Readouts, result: Result) -> None:
    """Remember when the last readout of a frame left."""
    result.readouts += len(batch.headers)
    now_ns = time.monotonic_ns()
    for number in np.flatnonzero(has_flag(batch.headers["flags"], AcqFlag.LAST_IN_SLICE)):
        result.departed.append(Departed(key_of(batch.headers["idx"][number]), now_ns))


class _Listener:
    """Reads what the plugin sends in a thread of its own."""

    def __init__(self, sock: socket.socket, session: Session, result: Result) -> None:
        self._session = session
        self._result = result
        self._socket = sock.dup()
        self._socket.settimeout(POLL_S)
        self._sending = threading.Event()
        self._heard = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name="console", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when the plugin has closed, or has been silent for too long since all was sent."""
        self._heard = time.monotonic()
        self._sending.set()
        self._thread.join()
        self._socket.close()

    def _recv_into(self, space: memoryview) -> int:
        while True:
            try:
                count = self._socket.recv_into(space)
            except TimeoutError:
                silent_s = time.monotonic() - self._heard
                if self._sending.is_set() and silent_s > self._session.silence_s:
                    raise
                continue
            self._heard = time.monotonic()
            return count

    def _listen(self) -> None:
        where = f"{self._session.host}:{self._session.port}"
        try:
            for message in receive(self._recv_into, Receiver(limit=1 << 30)):
                self._take(message)
        except TimeoutError:
            images = len(self._result.images)
            self._result.errors.append(
                f"{where} has sent nothing for {self._session.silence_s:g} s after CLOSE; {images} images had come"
            )
        except Vanished as problem:
            self._result.errors.append(f"{where} left without CLOSE: {problem}")
        except (PeerError, OSError) as problem:
            self._result.errors.append(f"{where}: {problem}")

    def _take(self, message: Message) -> None:
        if isinstance(message, Image):
            self._result.images.append(Arrived(message, time.monotonic_ns()))
        elif isinstance(message, (Text, Error)):
            self._result.texts.append(message.text)
            if isinstance(message, Error) or message.text.startswith("ERR"):
                self._result.errors.append(message.text)
        elif isinstance(message, Feedback) and message.name == advice.NAME:
            self._result.advice.append(advice.decode(message.data))
        elif isinstance(message, Feedback) and message.name == prescription.NAME:
            said = prescription.decode(message.data)
            self._result.prescriptions += [said] if isinstance(said, Prescription) else []
        elif isinstance(message, Close):
            self._result.closed = True


class _Bus:
    """Listens to the bus in a thread of its own, if there is one."""

    def __init__(self, address: str | None, result: Result) -> None:
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        if address:
            self._thread = threading.Thread(target=self._listen, args=(address, result), name="bus", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Take what is still on its way, then stop."""
        self._done.set()
        if self._thread:
            self._thread.join()

    def _listen(self, address: str, result: Result) -> None:
        try:
            with Subscriber(address) as subscriber:
                while not (self._take(subscriber, result) and self._done.is_set()):
                    pass
        except BusError as problem:
            result.errors.append(str(problem))

    def _take(self, subscriber: Subscriber, result: Result) -> bool:
        """Keep what came; tells whether nothing did."""
        event = subscriber.receive(timeout_s=POLL_S)
        if event is not None:
            result.events.append(event)
        if isinstance(event, Flag):
            result.flags.append(event)
        return event is None

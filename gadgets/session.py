"""One connection: greet the peer, choose the chain, stream, answer, and always say why it ended."""

import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from gadgets.choose import Choice
from gadgets.console import Console, asking
from gadgets.context import Context, Memory
from gadgets.delivery import Delivery, Outlets
from gadgets.history.chronicle import Chronicle
from gadgets.lend import Lender
from gadgets.meter import Meter
from gadgets.priors import noted
from gadgets.recipe import build
from protocols import session as rules
from protocols.encode import encode
from protocols.errors import PeerError
from protocols.events import Event, Flag
from protocols.header import parse_header
from protocols.messages import (
    Close,
    Config,
    Error,
    Failure,
    Feedback,
    Header,
    Message,
    Query,
    Readouts,
    Response,
    Text,
)
from protocols.problems import ProtocolError
from protocols.scan import Scan
from protocols.stream import close
from protocols.tables import ScanProtocol
from protocols.wire import Receiver, receive

__all__ = ["Session", "Surroundings"]

DRAIN_S = 5.0  # how long what a peer still sends is read after an error, so that it can read the error
SEND_S = 15  # a peer that takes nothing for so long is gone
HEARD = 64  # feedback of a scanner that may be on its way through the chain
M = TypeVar("M", Config, Header)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connections of a server share."""

    choice: Choice
    answer: Callable[[str], str]  # a QUERY's key -> its answer
    publish: Callable[[Event], None]
    workers: ThreadPoolExecutor
    helpers: ThreadPoolExecutor
    memory: Memory
    lender: Lender
    archive: Path | None = None
    priors: Path | None = None
    console: Console | None = None  # asked about every prescription, over the bus
    greeting_s: float = 30.0  # config and header must come within it
    peer: str = "auto"  # auto | scanner | gadgetron
    chronicle: Chronicle = field(default_factory=Chronicle)  # keeps nothing unless told where


class Session:
    """Talk to one peer over one socket until it closes, vanishes, or breaks the protocol."""

    def __init__(self, sock: socket.socket, name: str, around: Surroundings) -> None:
        self.name = name
        self._socket = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
        self._around = around
        self._meter = Meter(name)
        self._sending = threading.Lock()
        self._rules = rules.SCANNER
        self._state = rules.START
        self._gone = False
        self._failed = False
        self._stopped = False
        self._over = False
        self._heard: tuple[Feedback, ...] = ()  # what the scanner has said is not said to it again

    def run(self) -> None:
        """Serve the peer; returns when it is done, never raises for anything that a peer can do."""
        try:
            with self._problems_told():
                self._talk()
        finally:
            self._end()

    def stop(self) -> None:
        """End the connection from another thread: nothing more is read, what was read is finished and sent."""
        self._stopped = True
        self._stop_reading()

    def _talk(self) -> None:
        self._socket.settimeout(self._around.greeting_s)
        messages = self._lawful(receive(self._recv_into, Receiver()))
        config = _expect(messages, Config)
        if config is None:
            return
        protocol = self._around.choice.by_config(config.text, is_name=config.is_name)
        header = _expect(messages, Header)
        if header is None:
            return
        scan = parse_header(header.xml)
        self._socket.settimeout(None)
        first = next(messages, None)
        if isinstance(first, Text):
            protocol = self._more_config(first, protocol)
            first = next(messages, None)
        self._stream(Setting(scan, header.xml, self._around.choice.for_scan(scan, protocol)), first, messages)

    def take_over(self, config: str, header_xml: str) -> None:
        """Serve a Gadgetron module whose config and header have been read already; raises nothing either."""
        self._rules, self._state = rules.GADGETRON_EXECUTE, rules.STREAMING
        with self._problems_told():
            scan = parse_header(header_xml)
            protocol = self._around.choice.for_scan(scan, self._around.choice.by_config(config, is_name=False))
            messages = self._lawful(receive(self._recv_into, Receiver()))
            self._stream(Setting(scan, header_xml, protocol), next(messages, None), messages)

    @contextmanager
    def _problems_told(self) -> Iterator[None]:
        """Tell peer and log whatever goes wrong in the block; nothing is raised beyond it."""
        try:
            yield
        except (PeerError, ProtocolError) as error:
            self._fail(str(error))
        except OSError as error:
            self._lose(error)
        except Exception as error:
            log.exception("a gadget failed", session=self.name)
            self._fail(f"internal error, {type(error).__name__}: {error}; see the plugin's log")

    def _stream(self, setting: "Setting", first: Message | None, messages: Iterator[Message]) -> None:
        around, scan, protocol = self._around, setting.scan, setting.protocol
        delivery = Delivery(
            self.name, protocol, self._meter, Outlets(self._send, self._fail, self._lose, around.publish)
        )

        def opinion(flag: Flag) -> None:
            """Tell the console what comes late, the bus alone where the console has left."""
            around.publish(flag) if self._over else delivery.opinion(flag)

        context = Context(
            scan=scan,
            protocol=protocol,
            workers=around.workers,
            helpers=around.helpers,
            session=self.name,
            xml=setting.xml,
            archive=around.archive,
            priors=around.priors,
            memory=around.memory,
            watch=self._meter.watch,
            tell=delivery.opinion,
            cancelled=lambda: self._over,
            took=delivery.took,
            lender=around.lender,
        )
        log.info("scan", session=self.name, protocol=protocol.name, measurement=scan.measurement_id)
        delivery.record = around.chronicle.begin(scan, protocol, self.name, opinion)
        begun = [] if first is None else [first]
        chain = build(context)(noted(context)(self._source(itertools.chain(begun, messages))))
        stream = asking(context, around.console, opinion)(chain)
        try:
            for message in stream:
                if not any(message is heard for heard in self._heard):
                    delivery.deliver(message)
            delivery.late()
        except BaseException:
            self._stop_reading()
            raise
        finally:
            self._over = True
            close(stream)
            around.chronicle.end(delivery.record)

    def _stop_reading(self) -> None:
        """Free a thread that waits for the peer."""
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:
            self._gone = True

    def _source(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Feed the chain; a peer that breaks the protocol or vanishes ends it with a Failure, not with an exception."""
        try:
            for message in messages:
                if isinstance(message, Close):
                    return
                if isinstance(message, Text):
                    log.info("the peer says", session=self.name, text=message.text[:200])
                    continue
                if isinstance(message, Readouts):
                    self._meter.count("readouts", len(message.headers))
                if isinstance(message, Feedback) and self._rules is rules.SCANNER:
                    self._heard = (*self._heard[1 - HEARD :], message)  # whole at any moment: another thread looks
                yield message
        except PeerError as error:
            yield Failure(
                "the plugin was stopped; what had come until then was reconstructed" if self._stopped else str(error)
            )
        except OSError as error:
            yield Failure(f"the connection broke: {error}")

    def _lawful(self, messages: Iterator[Message]) -> Iterator[Message]:
        """Let only pass what may follow what; answer queries on the way."""
        for message in messages:
            if isinstance(message, Config):
                self._rules = rules.rules_for(message, self._around.peer)
            self._state = rules.advance(self._rules, self._state, message)
            if isinstance(message, Query):
                self._send(Response(message.correlation, self._around.answer(message.key)))
            else:
                yield message

    def _more_config(self, text: Text, protocol: ScanProtocol | None) -> ScanProtocol | None:
        """Apply the JSON that a FIRE or OpenRecon client may send behind the header: it may name another config."""
        try:
            parameters = json.loads(text.text).get("parameters", {})
            name = parameters.get("customconfig") or parameters.get("config") or ""
        except (ValueError, AttributeError) as error:
            log.warning("TEXT behind the header is no JSON configuration", session=self.name, error=str(error))
            return protocol
        return (self._around.choice.by_config(name, is_name=True) if name else None) or protocol

    def _fail(self, reason: str) -> None:
        """Tell peer and log, once, why this connection cannot go on."""
        if self._failed:
            return
        self._failed = True
        log.error("connection failed", session=self.name, reason=reason)
        try:
            self._send(Text(f"ERR {reason}") if rules.may_send(self._rules, Text) else Error(reason))
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._gone = True
        log.warning("the peer is gone", session=self.name, error=str(error))

    def _send(self, message: Message) -> None:
        if not self._gone and rules.may_send(self._rules, type(message)):
            data = b"".join(encode(message))
            with self._sending:
                self._socket.sendall(data)

    def _recv_into(self, space: memoryview) -> int:
        try:
            return self._socket.recv_into(space)
        except TimeoutError:
            wait_s = self._around.greeting_s
            raise PeerError(f"no config and header within {wait_s:g} s; send CONFIG_FILE, then HEADER") from None

    def _end(self) -> None:
        """Say goodbye so that the peer can read everything, then free the socket."""
        self._around.publish(self._meter.metrics())
        try:
            self._send(Close())
            self._socket.shutdown(socket.SHUT_WR)
            self._drain()
        except OSError as error:
            log.debug("no goodbye", session=self.name, error=str(error))
        finally:
            self._socket.close()

    def _drain(self) -> None:
        """Read on for a while what a peer still sends, else TCP would reset and it would lose our last words."""
        rest = bytearray(1 << 16)
        until = time.monotonic() + DRAIN_S
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            if not self._socket.recv_into(rest):
                return


@dataclass(frozen=True, slots=True)
class Setting:
    """A scan and the protocol that was chosen for it."""

    scan: Scan
    xml: str
    protocol: ScanProtocol


def _expect(messages: Iterator[Message], kind: type[M]) -> M | None:
    """Take the next message; the session's table has seen to it that it is the right one, or the end."""
    message = next(messages, None)
    return message if isinstance(message, kind) else None

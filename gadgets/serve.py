"""serve: the composition root; listen, give every client a thread, end cleanly."""

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog
from prometheus_client import start_http_server
from threadpoolctl import threadpool_limits

from engines.memory import hold, keep_memory
from engines.warm import warm
from gadgets.awake import awake
from gadgets.choose import Choice
from gadgets.console import Console, Site
from gadgets.context import Memory
from gadgets.history.chronicle import Chronicle, Keep
from gadgets.lend import Lender
from gadgets.session import Session, Surroundings
from protocols.bus import Answers, Publisher
from protocols.encode import encode
from protocols.events import Health
from protocols.logs import configure
from protocols.messages import Close, Text
from protocols.priority import PREPARING, stand_back

__all__ = ["ServeError", "ServeOptions", "Server", "running", "serve"]

MOST_CLIENTS = 32
HEALTH_EVERY_S = 2.0
HELD_BYTES = 1 << 28  # memory that the first scan finds, as a 3-D scout takes it
WAKES_S = 0.5
SWITCH_S = 0.0005  # how soon a waiting thread gets the interpreter: a tenth of Python's default, for latency
log = structlog.get_logger()


class ServeError(Exception):
    """The server cannot start; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Everything `scanside serve` can be told."""

    host: str = "127.0.0.1"
    port: int = 9002
    bus: str = "tcp://127.0.0.1:*"
    answers: str = "tcp://127.0.0.1:*"
    bus_keys: Path | None = None
    protocols: tuple[Path, ...] = ()
    archive: Path | None = None
    priors: Path | None = None
    console: Site | None = None  # is asked about every prescription
    metrics_port: int | None = None
    log_file: Path | None = None
    peer: str = "auto"
    allow_unsigned: bool = False  # run networks that nobody whom we know has signed
    open_networks: bool = False  # at start, not with the first scan that wants one
    history: Keep | None = None  # nothing is kept without one


def serve(options: ServeOptions) -> None:
    """Serve until Ctrl-C or SIGTERM; prints one JSON line with the addresses once it is ready."""
    keep_memory()
    configure(options.log_file)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with running(options) as server:
        threading.Thread(target=hold, args=(HELD_BYTES,), name="memory", daemon=True).start()
        ready = {
            "ready": True,
            "host": server.host,
            "port": server.port,
            "bus": server.bus_address,
            "answers": server.answers_address,
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        while not done.wait(WAKES_S):  # a signal that comes just before a wait does not end it
            pass
        log.info("stopping", connections=server.connections)


@contextmanager
def running(options: ServeOptions) -> "Iterator[Server]":
    """Run a server in threads of its own while the block lasts; on leaving every thread and socket is freed."""
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(options.host, options.port))
        publisher = stack.enter_context(Publisher(options.bus, keys=options.bus_keys))
        cores = os.cpu_count() or 1
        workers = stack.enter_context(ThreadPoolExecutor(cores, "worker", stand_back, (PREPARING,)))
        helpers = stack.enter_context(ThreadPoolExecutor(cores, "helper"))
        server = Server(listener, publisher, workers, helpers, options)
        answers = stack.enter_context(Answers(options.answers, server.health, keys=options.bus_keys))
        server.answers_address = answers.address
        if options.metrics_port is not None:
            http, thread = start_http_server(options.metrics_port, addr=options.host)
            stack.callback(thread.join)
            stack.callback(http.server_close)
            stack.callback(http.shutdown)
        stack.enter_context(threadpool_limits(1))
        interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        stack.callback(sys.setswitchinterval, interval)
        gc.freeze()  # a collection among all that is imported stops every thread for 50 ms
        stack.callback(gc.unfreeze)
        stack.callback(server.stop)
        server.start()
        yield server


class Server:
    """Accept clients, one thread each; many one after another and side by side."""

    def __init__(
        self,
        listener: socket.socket,
        publisher: Publisher,
        workers: ThreadPoolExecutor,
        helpers: ThreadPoolExecutor,
        options: ServeOptions,
    ) -> None:
        self.host, self.port = listener.getsockname()[:2]
        self.bus_address = publisher.address
        self.answers_address = ""
        self._listener = listener
        self.publisher = publisher
        self._choice = Choice.of(options.protocols)
        self._open_networks = options.open_networks
        self._around = Surroundings(
            choice=self._choice,
            answer=self._answer,
            publish=publisher.publish,
            workers=workers,
            helpers=helpers,
            memory=Memory(),
            lender=Lender(allow_unsigned=options.allow_unsigned),
            archive=options.archive,
            priors=options.priors,
            console=None if options.console is None else Console(options.console),
            peer=options.peer,
            chronicle=Chronicle(options.history),
        )
        self._sessions: dict[Session, threading.Thread] = {}
        self._changed = threading.Condition()
        self._begun = time.monotonic()
        self._count = 0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._accept, name="accept", daemon=True),
            threading.Thread(target=self._pulse, name="health", daemon=True),
        ]

    def start(self) -> None:
        """Begin to accept clients."""
        for thread in self._threads:
            thread.start()
        self._around.workers.submit(warm)
        for protocol in self._choice.known if self._open_networks else ():
            if "network" in protocol.chain.order:
                self.lender.borrow(protocol.engines.models["network"], protocol.engines.backends)

    def stop(self) -> None:
        """End every connection and wait for every thread."""
        self._stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            log.debug("listener", error=str(error))
        self._listener.close()
        with self._changed:
            sessions = dict(self._sessions)
        for session in sessions:
            session.stop()
        for thread in (*sessions.values(), *self._threads):
            thread.join()
        if self._around.console is not None:
            self._around.console.close()
        self._around.chronicle.close()
        self.lender.close()

    @property
    def lender(self) -> Lender:
        """The networks that all clients share."""
        return self._around.lender

    @property
    def connections(self) -> int:
        """How many clients are being served."""
        return len(self._sessions)

    def wait_for_clients(self, count: int, timeout_s: float) -> bool:
        """Wait until exactly so many clients are being served; 0 is idle."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._sessions) == count, timeout_s)

    def health(self) -> Health:
        """How the plugin is."""
        status = "stopping" if self._stopping.is_set() else "busy" if self._sessions else "ready"
        return Health(
            status=status,
            release=version("scanside"),
            connections=self.connections,
            uptime_s=round(time.monotonic() - self._begun, 3),
            resident_mib=_resident_mib(),
            engines=self.lender.engines(),
        )

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._listener.accept()
            except OSError:
                return
            self._count += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self.connections >= MOST_CLIENTS:
                _turn_away(sock)
                continue
            session = Session(sock, f"c{self._count}-{os.getpid()}", self._around)
            log.info("client", session=session.name, address=f"{address[0]}:{address[1]}")
            thread = threading.Thread(target=self._serve, args=(session,), name=session.name, daemon=True)
            with self._changed:
                self._sessions[session] = thread
                thread.start()
                self._changed.notify_all()

    def _serve(self, session: Session) -> None:
        try:
            with awake():
                session.run()
        finally:
            with self._changed:
                del self._sessions[session]
                self._changed.notify_all()

    def _pulse(self) -> None:
        while not self._stopping.wait(HEALTH_EVERY_S):
            self.publisher.publish(self.health())

    def _answer(self, key: str) -> str:
        answers: dict[str, Callable[[], str]] = {
            "scanside::version": lambda: version("scanside"),
            "scanside::health": lambda: self.health().model_dump_json(),
            "scanside::info": self._info,
            "scanside::bus": lambda: self.bus_address,
            "gadgetron::version": lambda: f"scanside {version('scanside')}",
            "gadgetron::info": self._info,
            "ismrmrd::version": lambda: version("ismrmrd"),
        }
        return answers[key]() if key in answers else f"Unknown query '{key}'; known: {', '.join(answers)}"

    def _info(self) -> str:
        names = ", ".join(sorted(protocol.name for protocol in self._choice.known))
        return f"Scanside {version('scanside')}, {self.connections} connections; scan protocols: {names}"


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=MOST_CLIENTS)
    except OSError as error:
        raise ServeError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Is another server running there? "
            f"Try: scanside serve --port {port + 1 if port else 9002}"
        ) from error


def _turn_away(sock: socket.socket) -> None:
    with sock:
        sock.sendall(
            b"".join((*encode(Text(f"ERR {MOST_CLIENTS} clients are being served already")), *encode(Close())))
        )


def _resident_mib() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

"""What `scanside info` sees of a running server: its answers on the data port, and its bus."""

import socket
from datetime import datetime
from pathlib import Path

from rich.console import Console

from protocols.bus import BusError, Subscriber
from protocols.encode import encode
from protocols.errors import PeerError
from protocols.events import Event, Flag, Health, ImageReady
from protocols.messages import Close, Query, Response
from protocols.wire import Receiver, receive

__all__ = ["health", "query", "watch"]


def health(host: str, port: int) -> str:
    """Say in one line how the server on a data port is, or that there is none."""
    try:
        told = Health.model_validate_json(query(host, port, "scanside::health"))
    except ConnectionRefusedError:
        return f"none at {host}:{port}; start one with: scanside serve --port {port}"
    networks = "".join(f", {model}: {engine}" for model, engine in told.engines.items())
    return (
        f"{told.status} at {host}:{port}, release {told.release}, {told.connections} connections, "
        f"up {told.uptime_s:.0f} s, {told.resident_mib:.0f} MiB{networks}"
    )


def query(host: str, port: int, key: str) -> str:
    """Ask a question on the data port, as Gadgetron's clients do; raises BusError where nothing answers it."""
    with socket.create_connection((host, port), timeout=3) as sock:
        sock.sendall(b"".join((*encode(Query(1, key)), *encode(Close()))))
        try:
            for message in receive(sock.recv_into, Receiver()):
                if isinstance(message, Response) and not message.text.startswith("Unknown query"):
                    return message.text
                if isinstance(message, Response):
                    break
        except PeerError as error:
            raise BusError(f"{host}:{port} broke the protocol: {error}") from error
    raise BusError(f"{host}:{port} does not answer the query {key}; is scanside serve running there?")


def watch(address: str, keys: Path | None = None) -> None:
    """Print every event on the bus until Ctrl-C."""
    console = Console(highlight=False)
    try:
        with Subscriber(address, keys=keys) as subscriber:
            console.print(f"watching {address}, Ctrl-C ends", style="dim")
            while True:
                for event in subscriber.events(timeout_s=1.0):
                    text, style = _line(event)
                    console.print(text, style=style, markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print("no longer watching", style="dim")


def _line(event: Event) -> tuple[str, str]:
    """One line an event, and its colour."""
    clock = datetime.fromtimestamp(event.time_s).strftime("%H:%M:%S.%f")[:-3]
    style = "dim"
    if isinstance(event, Flag):
        said = f"{event.severity.value} {event.code}: {event.message}" + (f" -> {event.advice}" if event.advice else "")
        style = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "UNKNOWN": "magenta"}[event.severity.value]
    elif isinstance(event, ImageReady):
        said = (
            f"{event.protocol} series {event.series} image {event.index} slice {event.slice} {event.latency_ms:.1f} ms"
        )
        style = "cyan"
    else:
        said = event.model_dump_json(exclude={"version", "topic", "time_s", "session"}, exclude_defaults=True)
    return f"{clock} {event.topic:<12} {event.session:<10} {said}", style

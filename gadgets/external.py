"""external: Scanside as a Gadgetron module, `<execute name="gadgets.external" target="scanside" type="python"/>`."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import structlog

from gadgets.choose import Choice
from gadgets.context import Memory
from gadgets.lend import Lender
from gadgets.session import Session, Surroundings
from protocols.events import Event
from protocols.logs import configure

__all__ = ["scanside"]

log = structlog.get_logger()


def scanside(connection: Any) -> None:
    """Serve one scan over a connection that the `gadgetron` package has opened, config and header already read.

    The package's own readers make one object a readout and never end when the peer vanishes, so the socket beneath it
    is read by Scanside's receiver from here on. The package sends CLOSE and closes the socket when this returns. There
    is no bus in this mode: flags are in the images' meta and in the log.
    """
    configure(None)
    with (
        closing(Lender()) as lender,
        ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="worker") as workers,
    ):
        around = Surroundings(
            choice=Choice.of(),
            answer=lambda key: f"Unknown query '{key}'",
            publish=_note,
            workers=workers,
            helpers=workers,
            memory=Memory(),
            lender=lender,
        )
        session = Session(connection.socket.socket, f"gadgetron-{os.getpid()}", around)
        session.take_over(_text(connection.raw_bytes.config), _text(connection.raw_bytes.header))


def _note(event: Event) -> None:
    log.debug("event", topic=event.topic)


def _text(raw: bytes) -> str:
    return bytes(raw).rstrip(b"\0").decode("utf-8", errors="replace")

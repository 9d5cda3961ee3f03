"""external: Scanside as a Gadgetron module, `<execute name="gadgets.external" target="scanside" type="python"/>`."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gadgets.serve import surroundings_of
from gadgets.session import Session
from protocols.logs import configure

__all__ = ["scanside"]


def scanside(connection: Any) -> None:
    """Serve one scan over a connection that the `gadgetron` package has opened, config and header already read.

    The package's own readers make one object a readout and never end when the peer vanishes, so the socket beneath it
    is read by Scanside's receiver from here on. The package sends CLOSE and closes the socket when this returns.
    """
    configure(None)
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="worker") as workers, surroundings_of(workers) as around:
        session = Session(connection.socket.socket, f"gadgetron-{os.getpid()}", around)
        session.take_over(_text(connection.raw_bytes.config), _text(connection.raw_bytes.header))


def _text(raw: bytes) -> str:
    return bytes(raw).rstrip(b"\0").decode("utf-8", errors="replace")

"""Keep processors from falling asleep between two readouts, where the operating system lets us."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

__all__ = ["awake"]

REQUEST = Path("/dev/cpu_dma_latency")  # Linux PM QoS: the request stands while the file is open
log = structlog.get_logger()


@contextmanager
def awake(request: Path = REQUEST) -> Iterator[bool]:
    """Ask that processors wake up without delay while the block lasts; tells whether the request was accepted.

    A processor that sleeps for the 5 ms between two readouts wakes up slow and with cold caches. Without permission
    (root, as a rule) or on another system nothing happens: images are right, and some milliseconds later.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(request.open("r+b", buffering=0)).write(struct.pack("i", 0))
        except OSError as error:
            log.debug("processors may sleep", error=str(error))
            yield False
        else:
            yield True

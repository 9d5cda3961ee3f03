"""The plugin as a process of its own, as a scanner's host computer sees it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Final

from hw_sim.errors import SimulationError

__all__ = ["Address", "started"]

PLUGIN: Final = "gadgets"  # a module's name only: the simulator does not import it
READY_S: Final = 60.0
STOP_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a plugin listens."""

    host: str
    port: int
    bus: str | None = None


def _pour(stream: IO[str], into: "Queue[str | None]") -> None:
    for line in stream:
        into.put(line)
    into.put(None)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    return "\n".join(lines) or "it said nothing"


def _ready(lines: "Queue[str | None]", log: Path) -> Address:
    """Wait for the line in which the plugin says where it listens."""
    try:
        while (line := lines.get(timeout=READY_S)) is not None:
            if line.startswith("{") and (told := json.loads(line)).get("ready"):
                return Address(told["host"], int(told["port"]), told.get("bus"))
    except Empty:
        raise SimulationError(f"the plugin was not ready within {READY_S:g} s. Its log: {log}\n{_tail(log)}") from None
    raise SimulationError(f"the plugin ended before it was ready. Its log: {log}\n{_tail(log)}")


@contextmanager
def started(log: Path, *options: str) -> Iterator[Address]:
    """Start the plugin on free ports, end it on leaving; what it logs goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", PLUGIN, "serve", "--port", "0", *options]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
        lines: Queue[str | None] = Queue()
        reader = Thread(target=_pour, args=(process.stdout, lines), name="plugin", daemon=True)
        reader.start()
        try:
            yield _ready(lines, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join()
            if process.stdout:
                process.stdout.close()

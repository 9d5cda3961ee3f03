"""Start the plugin as a process of its own, as an exam does."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plugin(*more: str) -> Iterator[dict[str, object]]:
    """The ready line of a fresh `scanside serve` on a free port, with `ready_s` since launch added."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "gadgets", "serve", "--port", "0", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            yield {**ready, "ready_s": time.perf_counter() - began}
        finally:
            process.terminate()
            process.wait(10)

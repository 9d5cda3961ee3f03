"""Whether something is being computed that frames wait for: opinions on images are formed when nothing is.

A low priority alone does not keep them from slowing it, where two processors are halves of one core.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Rush"]


class Rush:
    """Counts what is under way, told and asked by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._calm = threading.Event()
        self._calm.set()

    @contextmanager
    def on(self) -> Iterator[None]:
        """For as long as something is computed that a frame waits for."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def sit_out(self, timeout_s: float) -> bool:
        """Wait until nothing is, for so long at most; whether nothing is."""
        return self._calm.wait(timeout_s)

    def _change(self, by: int) -> None:
        with self._lock:
            self._count += by
            if self._count:
                self._calm.clear()
            else:
                self._calm.set()

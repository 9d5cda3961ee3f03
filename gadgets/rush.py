"""Whether something is being computed that frames wait for: opinions on images are formed when nothing is.

A low priority alone does not keep them from slowing it, where two processors are halves of one core.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Final

__all__ = ["Rush"]

LEAVING_S: Final = 0.05  # for which an image that has been made is still on its way out
LONGEST_S: Final = 1.0  # after which it is no rush any more, but a machine that is too slow: opinions go on beside it


class Rush:
    """Counts what is under way, told and asked by several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._began_s = self._ended_s = -inf

    @contextmanager
    def on(self) -> Iterator[None]:
        """For as long as something is computed that a frame waits for."""
        with self._changed:
            if not self._count:
                self._began_s = time.monotonic()
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                if not self._count:
                    self._ended_s = time.monotonic()
                    self._changed.notify_all()

    def sit_out(self) -> bool:
        """Wait until all has left, or something has been on for LONGEST_S without a pause; whether all has left."""
        with self._changed:
            while True:
                until_s = self._began_s + LONGEST_S if self._count else self._ended_s + LEAVING_S
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return not self._count
                self._changed.wait(left_s)

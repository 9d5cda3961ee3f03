"""How long an inverse that is being made will still take, if nothing else were to be done meanwhile."""

import threading
import time

from engines.linear.columns import Block

__all__ = ["Coming"]


class Coming:
    """Told of every block as it is done, by several threads; counts processor time, not the time that others took."""

    def __init__(self) -> None:
        self._left = 0
        self._counted = 0
        self._spent_s = 0.0
        self._last_s: dict[int, float] = {}  # thread -> processor time when its last block was done
        self._lock = threading.Lock()

    def expect(self, columns: int) -> None:
        """Say how many columns will be inverted, before the first is: whoever inverts them chooses the box."""
        self._left = columns

    def see(self, block: Block) -> None:
        """Take note of a block that is done."""
        now_s, thread, columns = time.thread_time(), threading.get_ident(), block[0].stop - block[0].start
        with self._lock:
            if thread in self._last_s:
                self._spent_s += now_s - self._last_s[thread]
                self._counted += columns
            self._last_s[thread] = now_s
            self._left -= columns

    def remaining_s(self) -> float:
        """Seconds until all blocks are done; infinite while nothing is known."""
        with self._lock:
            if not self._counted:
                return float("inf")
            return self._left * self._spent_s / self._counted / len(self._last_s)

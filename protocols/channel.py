"""A bounded queue between two threads that either side can close."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["Channel"]

T = TypeVar("T")
AGAIN_S: Final = 0.01  # after which is asked again what goes first, where nothing went


def _oldest(_items: Sequence[object]) -> int:
    return 0


class Channel(Generic[T]):
    """At most `depth` items; `close` lets the reader finish, `abandon` frees the writer.

    First in, first out, unless `first` says which of those that wait goes first, or None: none of them now, ask again.
    It must be quick.
    """

    def __init__(self, depth: int, first: Callable[[Sequence[T]], int | None] = _oldest) -> None:
        self._depth = depth
        self._first = first
        self._items: list[T] = []
        self._changed = threading.Condition()
        self._closed = False
        self._abandoned = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Wait for room and add an item; False when nobody will read it any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._abandoned)
            return self._add(item)

    def offer(self, item: T) -> bool:
        """Add an item if there is room now."""
        with self._changed:
            return len(self._items) < self._depth and self._add(item)

    def take(self, timeout_s: float | None = None) -> T | None:
        """Wait for an item and take it; None when none comes in time, or none will come any more."""
        with self._changed:
            item = self._next(timeout_s)
            return item[0] if item else None

    def _next(self, timeout_s: float | None = None) -> list[T]:
        """The item that goes first, when it may go; none where none came in time, or none will come any more."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self._changed.wait_for(lambda: bool(self._items) or self._closed or self._abandoned, _left_s(until)):
            if not self._items:
                break
            which = self._first(self._items)
            if which is not None:
                self._changed.notify_all()
                return [self._items.pop(which)]
            left_s = _left_s(until)
            if left_s == 0:
                break
            self._changed.wait(AGAIN_S if left_s is None else min(AGAIN_S, left_s))
        return []

    def _add(self, item: T) -> bool:
        if self._abandoned:
            return False
        self._items.append(item)
        self._changed.notify_all()
        return True

    def close(self, error: BaseException | None = None) -> None:
        """No more items will come; the reader gets what is left, then `error` if there is one."""
        with self._changed:
            self._closed = True
            self._error = error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody reads any more; writers are set free and items dropped."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                item = self._next()
                if not item:
                    if self._error is not None:
                        raise self._error
                    return
            yield item.pop()


def _left_s(until: float | None) -> float | None:
    """Time until then, of the monotonic clock; None where there is no such time."""
    return None if until is None else max(0.0, until - time.monotonic())

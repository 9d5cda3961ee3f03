"""A bounded queue between two threads that either side can close."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Channel"]

T = TypeVar("T")


def _oldest(_items: Sequence[object]) -> int:
    return 0


class Channel(Generic[T]):
    """At most `depth` items; `close` lets the reader finish, `abandon` frees the writer.

    First in, first out, unless `first` says which of those that wait goes first; it must be quick.
    """

    def __init__(self, depth: int, first: Callable[[Sequence[T]], int] = _oldest) -> None:
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
            self._changed.wait_for(lambda: bool(self._items) or self._closed or self._abandoned, timeout_s)
            if not self._items:
                return None
            item = self._items.pop(self._first(self._items))
            self._changed.notify_all()
            return item

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
                self._changed.wait_for(lambda: bool(self._items) or self._closed or self._abandoned)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.pop(self._first(self._items))
                self._changed.notify_all()
            yield item
            del item

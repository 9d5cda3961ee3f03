"""Work that takes its time beside a chain that may not wait for it: messages and answers come by one queue."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from protocols.channel import Channel
from protocols.messages import Message
from protocols.stream import pump

__all__ = ["Answer", "Aside", "aside"]

J = TypeVar("J")
A = TypeVar("A")


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Generic[A]):
    """What came of a job."""

    value: A


@dataclass(frozen=True, slots=True)
class _Ended:
    """Upstream has nothing more to say."""

    error: BaseException | None


class Aside(Generic[J, A]):
    """The gadget's side: give jobs, take messages and answers as they come."""

    def __init__(self, inbox: "Channel[Message | Answer[A] | _Ended]", jobs: Channel[J]) -> None:
        self._inbox = inbox
        self._jobs = jobs
        self._given = 0
        self._ended: _Ended | None = None

    @property
    def over(self) -> bool:
        """Whether upstream has ended, every job is answered and every error raised."""
        return self._done and self._ended is not None and self._ended.error is None

    @property
    def ended(self) -> bool:
        """Whether upstream has nothing more to say."""
        return self._ended is not None

    @property
    def idle(self) -> bool:
        """Whether every job is answered, as far as answers were taken."""
        return not self._given

    @property
    def _done(self) -> bool:
        return self._ended is not None and self.idle

    def give(self, job: J) -> bool:
        """Hand a job over; False where too many wait already."""
        given = self._jobs.offer(job)
        self._given += given
        return given

    def take(self, timeout_s: float | None = None) -> Message | Answer[A] | None:
        """Wait for what comes next; None when nothing came in time, or upstream has ended.

        An error upstream is raised here, when every job is answered.
        """
        if self._done and self._ended is not None and self._ended.error is not None:
            raise self._ended.error
        got = self._inbox.take(timeout_s)
        if isinstance(got, Answer):
            self._given -= 1
        if not isinstance(got, _Ended):
            return got
        self._ended = got
        return None


@contextmanager
def aside(
    messages: Iterator[Message],
    work: Callable[[J], A],
    depth: int,
    name: str,
    first: Callable[[Sequence[J]], int | None] = lambda _waiting: 0,
) -> "Iterator[Aside[J, A]]":
    """Pull `messages` in one thread and do jobs in another, at most `depth` of them waiting, while the block lasts.

    The one that pulls stands back: what comes next may wait for what is being made. Jobs are done in the order in
    which they were given, unless `first` says which of those that wait goes first, or None: none of them now.

    `work` must not raise, and must come to an end: leaving the block waits for the job under way.
    """
    inbox: Channel[Message | Answer[A] | _Ended] = Channel(depth)
    jobs: Channel[J] = Channel(depth, first)
    threads = (
        threading.Thread(
            target=pump,
            args=(messages, inbox.put, lambda error: inbox.put(_Ended(error))),
            name=f"{name} feed",
            daemon=True,
        ),
        threading.Thread(target=_do, args=(jobs, work, inbox), name=name, daemon=True),
    )
    for thread in threads:
        thread.start()
    try:
        yield Aside(inbox, jobs)
    finally:
        for channel in (inbox, jobs):
            channel.abandon()
        for thread in threads:
            thread.join()


def _do(jobs: Channel[J], work: Callable[[J], A], inbox: "Channel[Message | Answer[A] | _Ended]") -> None:
    for job in jobs:
        if not inbox.put(Answer(work(job))):
            return

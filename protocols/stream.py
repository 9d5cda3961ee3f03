"""The grammar of chains: a gadget is a generator, messages in, messages out; here are the only threads in a chain."""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import TypeAlias, TypeVar

import structlog

from protocols.channel import Channel
from protocols.messages import Message
from protocols.priority import COMING, JUDGING, stand_back

__all__ = ["Act", "Node", "beside", "buffered", "chain", "close", "on", "pump"]

Node: TypeAlias = Callable[[Iterator[Message]], Iterator[Message]]
Act: TypeAlias = Callable[[Message], Iterable[Message]]
M = TypeVar("M", bound=Message)
log = structlog.get_logger()


def on(kind: type[M], act: Callable[[M], Iterable[Message]]) -> Node:
    """Rewrite messages of one kind; all others pass by in their place."""

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            if isinstance(message, kind):
                yield from act(message)
            else:
                yield message

    return node


def chain(*nodes: Node) -> Node:
    """Join nodes; read left to right, as the data flows."""
    return lambda messages: reduce(lambda stream, node: node(stream), nodes, messages)


def buffered(depth: int, name: str = "buffered", watch: Callable[[str, Channel[Message]], None] | None = None) -> Node:
    """Pull what comes before in a thread of its own; at most `depth` messages wait.

    An error upstream is raised downstream, after what was already made; when downstream stops early, the thread ends
    as soon as upstream gives it its next message or its end. `watch` is told the queue, for metrics.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        queue: Channel[Message] = Channel(depth)
        if watch is not None:
            watch(name, queue)
        puller = threading.Thread(target=pump, args=(messages, queue.put, queue.close), name=name, daemon=True)
        puller.start()
        try:
            yield from queue
        finally:
            queue.abandon()
            puller.join()

    return node


def beside(act: Act, depth: int, missed: Act, tell: Callable[[Message], None], name: str = "beside") -> Node:
    """Send every message on at once; what `act` answers to it goes to `tell` when the answer is ready.

    `act` works in a thread of its own that stands back, begins on a message when downstream is done with it, and is at
    most `depth` messages in arrears; a message it has no time for, or fails on, is answered by `missed` in its place:
    nothing waits for it, and nothing is skipped in silence. The stream ends when all is told.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        copies: Channel[Message] = Channel(depth)
        judge = threading.Thread(target=_judge, args=(act, missed, copies, tell), name=name, daemon=True)
        judge.start()
        try:
            for message in messages:
                yield message
                if not copies.offer(message):
                    for answer in missed(message):
                        tell(answer)
        except GeneratorExit:
            copies.abandon()
            raise
        finally:
            close(messages)
            copies.close()
            judge.join()

    return node


def pump(
    messages: Iterator[Message], put: Callable[[Message], bool], end: Callable[[BaseException | None], object]
) -> None:
    """Pull messages until there are no more or `put` says that nobody reads; `end` gets the error upstream, if any.

    For a thread of its own, which stands back: what comes next may wait for what is being made.
    """
    stand_back(COMING)
    error: BaseException | None = None
    try:
        for message in messages:
            if not put(message):
                break
    except BaseException as caught:  # noqa: BLE001 - it is raised again in the thread that reads
        error = caught
    finally:
        close(messages)
        end(error)


def _judge(act: Act, missed: Act, copies: Channel[Message], tell: Callable[[Message], None]) -> None:
    stand_back(JUDGING)
    for message in copies:
        for answer in _answers(act, missed, message):
            tell(answer)


def _answers(act: Act, missed: Act, message: Message) -> list[Message]:
    try:
        return list(act(message))
    except Exception:
        log.exception("an opinion failed", on=type(message).__name__)
        return list(missed(message))


def close(messages: Iterator[Message]) -> None:
    """Close a generator where it stands, so that what is before it frees its threads and files."""
    ending = getattr(messages, "close", None)
    if ending is not None:
        ending()

"""The grammar of chains: a gadget is a generator, messages in, messages out."""

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import TypeAlias, TypeVar

from protocols.messages import Message

__all__ = ["Node", "chain", "on"]

Node: TypeAlias = Callable[[Iterator[Message]], Iterator[Message]]
M = TypeVar("M", bound=Message)


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

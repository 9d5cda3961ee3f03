"""A graph cut out of a larger one at tensors by their names, so that weights stand in one file; needs no ONNX package.

Of onnx.proto these are the messages ModelProto, GraphProto, NodeProto and ValueInfoProto. Bodies of If and Loop are
not looked into.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engines.card import Graph, Port
from engines.errors import ModelError
from engines.onnx_wire import Field, encode, fields_of, messages, name_of, only, texts

__all__ = ["cut_graph"]

FLOAT = 1  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class _Node:
    fields: tuple[Field, ...]
    takes: tuple[str, ...]
    gives: tuple[str, ...]


def cut_graph(content: bytes, graph: Graph, where: str) -> bytes:
    """ONNX file of what lies between the tensors of a card's graph, named as its ports; `where` is for messages.

    An input without a tensor, and without a namesake in the file, is one that nothing depends on. Raises ModelError
    where a tensor is not there, or an output depends on what is no input.
    """
    try:
        model = list(fields_of(memoryview(content)))
        whole = list(fields_of(only(model, 7)))
        nodes = [_node(view) for view in messages(whole, 1)]
        weights = {name_of(view, 8): view for view in messages(whole, 5)}
        inputs = set(map(name_of, messages(whole, 11)))
    except (ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{where}: not a whole ONNX file ({error}); fetch the model again") from error
    made = {name: node for node in nodes for name in node.gives}
    taken, wanted = _by_tensor(graph.inputs), _by_tensor(graph.outputs)
    explicit = {port.tensor for port in graph.inputs.values() if port.tensor}
    for name in sorted((explicit | set(wanted)) - set(made) - inputs):
        raise ModelError(f"{where}: no tensor {name!r} to cut at, which the card names; export the model again")
    kept = _between(made, set(wanted), taken.keys() | weights.keys(), where)
    ours = [node for node in nodes if id(node) in kept]
    names = taken | wanted
    used = {name for node in ours for name in (*node.takes, *node.gives)}
    for name in sorted((used - names.keys()) & set(names.values())):
        raise ModelError(f"{where}: a tensor inside is called {name!r} like a port of the card; give the port another")
    parts = [(1, _renamed(node, names)) for node in ours]
    parts += [(2, b"part")]
    parts += [(5, bytes(weight)) for name, weight in weights.items() if name in used]
    parts += [(11, _port(name, port)) for name, port in graph.inputs.items()]
    parts += [(12, _port(name, port)) for name, port in graph.outputs.items()]
    around = [(number, value) for number, value in model if number in (1, 8)]  # version of the format, opsets
    return _message([*around, (7, _message(parts))])


def _by_tensor(ports: Mapping[str, Port]) -> dict[str, str]:
    """Names of ports by those of their tensors."""
    return {port.tensor or name: name for name, port in ports.items()}


def _node(view: memoryview) -> _Node:
    fields = tuple(fields_of(view))
    return _Node(fields, texts(fields, 1), texts(fields, 2))


def _between(made: Mapping[str, _Node], outputs: set[str], given: Iterable[str], where: str) -> set[int]:
    """Identities of the nodes that the outputs depend on, down to what is given."""
    kept: set[int] = set()
    known, wanted = {"", *given}, sorted(outputs)  # no name: an optional input that is left out
    while wanted:
        name = wanted.pop()
        if name not in made:
            raise ModelError(f"{where}: what is cut out depends on {name!r} too, which its card lets it not take")
        if id(made[name]) not in kept:
            kept.add(id(made[name]))
            wanted += [taken for taken in made[name].takes if taken not in known]
    return kept


def _renamed(node: _Node, names: Mapping[str, str]) -> bytes:
    others = [field for field in node.fields if field[0] not in (1, 2)]
    takes = [(1, names.get(name, name).encode()) for name in node.takes]
    gives = [(2, names.get(name, name).encode()) for name in node.gives]
    return _message([*takes, *gives, *others])


def _port(name: str, port: Port) -> bytes:
    sizes = [(1, size) if isinstance(size, int) else (2, size.encode()) for size in port.shape]
    shape = _message((1, encode(*size)) for size in sizes)
    return _message([(1, name.encode()), (2, encode(1, _message([(1, FLOAT), (2, shape)])))])


def _message(fields: Iterable[tuple[int, int | bytes | memoryview]]) -> bytes:
    return b"".join(encode(number, value) for number, value in fields)

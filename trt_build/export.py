"""From trained weights to a model folder: ONNX graphs, test vectors, and the card that says what they are."""

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.card import Graph as CardGraph
from engines.card import parse_card
from engines.onnx_cut import cut_graph

__all__ = ["OPSET", "Arrays", "Dimensions", "ExportError", "Facts", "Graph", "Ports", "card_of", "write_folder"]

OPSET: Final = 18
TOLERANCE: Final = 1e-4  # of the largest value: rounding in another order
Arrays: TypeAlias = dict[str, NDArray[np.float32]]
Dimensions: TypeAlias = tuple[int | str, ...]
Ports: TypeAlias = Mapping[str, tuple[Dimensions, str, str]]  # shape, meaning, unit


class ExportError(RuntimeError):
    """An exported graph does not compute what the network computes."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card says besides what can be seen from the network."""

    name: str
    version: str
    summary: str
    range: Mapping[str, Any]
    training: Mapping[str, Any]
    figures: Mapping[str, float | str]
    outside: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A module and the names of what it takes and gives, in order: a file, or a part cut out `of` another one's."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ports: Ports
    cuts: tuple[str, ...] = ()  # names of what else the module gives: tensors inside, where others are cut out
    of: str | None = None
    tensors: Mapping[str, str] = field(default_factory=dict)  # port -> its name in the file of the other one


def write_folder(
    folder: Path,
    graphs: Sequence[tuple[Graph, Mapping[str, Arrays]]],
    card: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write graphs, each with small inputs by the name of the case, and a card; an older folder goes when all is well.

    `files` are further ones that the task needs, by name.

    Every graph, cut out or not, is checked against its module. Raises ExportError where ONNX Runtime computes something
    else, and ModelError where the card would not be one.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    vectors: Arrays = {}
    try:
        for graph, cases in graphs:
            onnx = _content(graph, next(iter(cases.values())), part)
            for case, given in cases.items():
                wanted = _outputs(graph, given)
                _compare(onnx, graph.name, given, wanted)
                vectors |= {f"{graph.name}/{case}/{port}": value for port, value in (given | wanted).items()}
        np.savez_compressed(part / "vectors.npz", **vectors)  # type: ignore[arg-type]
        for name, content in (files or {}).items():
            (part / name).write_bytes(content)
        _write_card(part, card)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _outputs(graph: Graph, given: Arrays) -> Arrays:
    with torch.no_grad():
        made = graph.module(*(torch.from_numpy(given[port]) for port in graph.inputs))
    return {port: tensor.numpy() for port, tensor in zip(graph.outputs, made[: len(graph.outputs)], strict=True)}


def _content(graph: Graph, example: Arrays, folder: Path) -> bytes:
    """ONNX file of a graph, written to the folder unless it is cut out of one that is there already."""
    import onnx

    if graph.of is None:
        content = _exported(graph, example)
        (folder / f"{graph.name}.onnx").write_bytes(content)
        return content
    file = folder / f"{graph.of}.onnx"
    content = cut_graph(file.read_bytes(), CardGraph.model_validate(_ports(graph)), f"{file.name}, {graph.name!r}")
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    return content


def _exported(graph: Graph, example: Arrays) -> bytes:
    """Export with dynamic sizes, and check the file."""
    import onnx

    free = torch.export.Dim.DYNAMIC
    shapes = {name: port[0] for name, port in graph.ports.items()}
    tensors = tuple(_twice(torch.from_numpy(example[port]), shapes[port]) for port in graph.inputs)
    sizes = [{axis: free for axis, size in enumerate(shapes[port]) if isinstance(size, str)} for port in graph.inputs]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.module.eval(),
            tensors,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(graph.inputs),
            output_names=[*graph.outputs, *graph.cuts],
            dynamic_shapes=tuple(sizes),
            verbose=False,
        )
    assert program is not None  # noqa: S101
    model = program.model_proto
    del model.graph.output[len(graph.outputs) :]
    for value in (*model.graph.input, *model.graph.output):
        _name_sizes(value, shapes[value.name])
    del model.graph.value_info[:], model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _twice(example: Tensor, sizes: Dimensions) -> Tensor:
    """Two frames: what is one while a graph is traced stays one."""
    return torch.cat((example, example)) if sizes[0] == "frame" else example


def _name_sizes(value: Any, sizes: Dimensions) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, sizes, strict=True):
        if isinstance(size, str):
            dimension.dim_param = size


def _compare(onnx: bytes, name: str, given: Arrays, wanted: Arrays) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(2, os.cpu_count() or 1)
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    for port, got in zip(wanted, session.run(list(wanted), given), strict=True):
        off = float(np.abs(got - wanted[port]).max() / max(np.abs(wanted[port]).max(), 1e-12))
        if not off <= TOLERANCE:
            raise ExportError(f"{name}, output {port!r}: ONNX Runtime differs by {off:.1g}, wanted {TOLERANCE:g}")


def card_of(facts: Facts, graphs: Sequence[Graph]) -> dict[str, Any]:
    """What a card says of any network; task, multiple and what the task needs are still to come."""
    given = asdict(facts)
    return {key: given[key] for key in ("name", "version", "summary", "outside", "range", "training", "figures")} | {
        "opset": OPSET,
        "graphs": {graph.name: _ports(graph) for graph in graphs},
    }


def _ports(graph: Graph) -> dict[str, Any]:
    """What a card says of a graph (engines/card.py)."""
    return ({} if graph.of is None else {"of": graph.of}) | {
        "inputs": {name: _port(graph, name) for name in graph.inputs},
        "outputs": {name: _port(graph, name) for name in graph.outputs},
    }


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    import tomli_w

    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    whole = {**card, "files": files}
    tables = {key: value for key, value in whole.items() if isinstance(value, dict)}
    text = tomli_w.dumps({key: value for key, value in whole.items() if key not in tables} | tables)
    parse_card(text, str(folder / "card.toml"))
    (folder / "card.toml").write_text(text, encoding="utf-8")


def _port(graph: Graph, name: str) -> dict[str, Any]:
    shape, meaning, unit = graph.ports[name]
    inside = {"tensor": graph.tensors[name]} if name in graph.tensors else {}
    return {"shape": list(shape), "meaning": meaning, "unit": unit, **inside}

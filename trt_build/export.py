"""From trained weights to a model folder: ONNX graphs, test vectors, and the card that says what they are."""

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.card import parse_card
from engines.unrolled.problem import MULTIPLE
from trt_build.networks.unrolled import Unrolled, seen
from trt_build.vectors import small_problems

__all__ = ["OPSET", "ExportError", "Facts", "Graph", "Ports", "card_of", "export_network", "write_folder"]

OPSET: Final = 18
TOLERANCE: Final = 1e-4  # of the largest value: rounding in another order
Arrays: TypeAlias = dict[str, NDArray[np.float32]]
Dimensions: TypeAlias = tuple[int | str, ...]
Ports: TypeAlias = Mapping[str, tuple[Dimensions, str, str]]  # shape, meaning, unit

PLANES: Final[Dimensions] = ("frame", 2, "y", "x")
PORTS: Final[Ports] = {
    "normal": (PLANES, "right-hand side b = S^H F^H y in the box, real and imaginary part", "sigma"),
    "inverse": (("group", "2*alias", "alias"), "Re P above Im P of P = (N + lambda)^-1", "1"),
    "scan": ((2,), "root of lambda = (strength * share / level)^2, share of the lines that are used", "1"),
    "noise": (("y", "x"), "variance of P b, mean over 9 x 9 pixels (engines/unrolled/balance.py)", "sigma^2"),
    "rho": (PLANES, "image of the consistent step before, real and imaginary part", "sigma"),
    "hidden": (("frame", 0, "y/2", "x/2"), "state of the cascade before; zeros for the first", "1"),
    "image": (PLANES, "image, real and imaginary part", "sigma"),
    "denoised": (PLANES, "z of the next consistent step, rho = P (b + lambda z)", "sigma"),
    "proposed": (PLANES, "the network's image, before the lines' objections (engines/unrolled/balance.py)", "sigma"),
    "hidden_out": (("frame", 0, "y/2", "x/2"), "state for the next cascade", "1"),
    "error": (("frame", 1, "y", "x"), "bound under which 90 % of the pixels have their error", "sigma"),
}


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


class _Whole(nn.Module):
    """The network with the ports of model.onnx."""

    def __init__(self, network: Unrolled) -> None:
        super().__init__()
        self.network = network

    def forward(self, normal: Tensor, inverse: Tensor, scan: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        return self.network(normal, inverse, scan, noise)


class _Cascade(nn.Module):
    """One cascade with the ports of cascade_k.onnx."""

    def __init__(self, network: Unrolled, number: int) -> None:
        super().__init__()
        self.cascade = network.cascades[number]
        self.bound = network.bound if number == len(network.cascades) - 1 else None
        self.first = number == 0
        self.hidden = network.shape.hidden
        self.ends = self.bound is not None and not network.shape.consistent

    def forward(self, rho: Tensor, normal: Tensor, scan: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        denoised, carried = self.cascade(rho, normal, scan, None if self.first else hidden)
        if self.bound is None:
            return denoised, carried
        image = denoised * seen(rho) if self.ends else denoised  # what no coil sees has no consistent step
        return image, carried[:, : self.hidden], self.bound(carried, scan)


@dataclass(frozen=True, slots=True)
class Graph:
    """A module and the names of what it takes and gives, in order."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ports: Ports


def export_network(network: Unrolled, folder: Path, facts: Facts) -> None:
    """Write model.onnx, cascade_0.onnx, …, vectors.npz and card.toml; what write_folder raises."""
    network = network.eval()
    network.mixed = False
    graphs = _graphs(network)
    card = card_of(facts, graphs) | {"task": "unrolled", "strength": network.shape.strength, "multiple": MULTIPLE}
    write_folder(folder, [(graph, _cases(network, graph)) for graph in graphs], card)


def write_folder(
    folder: Path,
    graphs: Sequence[tuple[Graph, Mapping[str, Arrays]]],
    card: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write graphs, each with small inputs by the name of the case, and a card; an older folder goes when all is well.

    `files` are further ones that the task needs, by name.

    Every graph is checked against its module. Raises ExportError where ONNX Runtime computes something else, and
    ModelError where the card would not be one.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    vectors: Arrays = {}
    try:
        for graph, cases in graphs:
            _write(graph, next(iter(cases.values())), part / f"{graph.name}.onnx")
            for case, given in cases.items():
                wanted = _outputs(graph, given)
                _compare(part / f"{graph.name}.onnx", given, wanted)
                vectors |= {f"{graph.name}/{case}/{port}": value for port, value in (given | wanted).items()}
        np.savez_compressed(part / "vectors.npz", **vectors)  # type: ignore[arg-type]
        for name, content in (files or {}).items():
            (part / name).write_bytes(content)
        _write_card(part, card)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _graphs(network: Unrolled) -> list[Graph]:
    ports = {name: (_sized(shape, network), meaning, unit) for name, (shape, meaning, unit) in PORTS.items()}
    graphs = [Graph("model", _Whole(network), ("normal", "inverse", "scan", "noise"), ("image", "error"), ports)]
    last = len(network.cascades) - 1
    for number in range(last + 1):
        image = "proposed" if number == last and not network.shape.consistent else "denoised"
        outputs = (image, "hidden_out") + (("error",) if number == last else ())
        graphs.append(
            Graph(f"cascade_{number}", _Cascade(network, number), ("rho", "normal", "scan", "hidden"), outputs, ports)
        )
    return graphs


def _cases(network: Unrolled, graph: Graph) -> dict[str, Arrays]:
    """Small inputs of a graph: a dense inverse and blocks, or planes of two sizes."""
    cases: dict[str, Arrays] = {}
    for name, (normal, inverse, scan, noise) in small_problems(network.shape.strength).items():
        given = {"normal": normal, "inverse": inverse, "scan": scan, "noise": noise}
        if graph.name != "model":
            state = np.random.default_rng(1).standard_normal(
                (len(normal), network.shape.hidden, normal.shape[2] // 2, normal.shape[3] // 2), np.float32
            )
            given = {"rho": np.float32(2) * normal, "normal": normal, "scan": scan, "hidden": state}
        cases[name] = given
    return cases


def _outputs(graph: Graph, given: Arrays) -> Arrays:
    with torch.no_grad():
        made = graph.module(*(torch.from_numpy(given[port]) for port in graph.inputs))
    return {port: tensor.numpy() for port, tensor in zip(graph.outputs, made, strict=True)}


def _write(graph: Graph, example: Arrays, path: Path) -> None:
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
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(sizes),
            verbose=False,
        )
    assert program is not None  # noqa: S101
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        _name_sizes(value, shapes[value.name])
    del model.graph.value_info[:], model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def _twice(example: Tensor, sizes: Dimensions) -> Tensor:
    """Two frames: what is one while a graph is traced stays one."""
    return torch.cat((example, example)) if sizes[0] == "frame" else example


def _name_sizes(value: Any, sizes: Dimensions) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, sizes, strict=True):
        if isinstance(size, str):
            dimension.dim_param = size


def _compare(path: Path, given: Arrays, wanted: Arrays) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(2, os.cpu_count() or 1)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for port, got in zip(wanted, session.run(list(wanted), given), strict=True):
        off = float(np.abs(got - wanted[port]).max() / max(np.abs(wanted[port]).max(), 1e-12))
        if not off <= TOLERANCE:
            raise ExportError(f"{path.name}, output {port!r}: ONNX Runtime differs by {off:.1g}, wanted {TOLERANCE:g}")


def card_of(facts: Facts, graphs: Sequence[Graph]) -> dict[str, Any]:
    """What a card says of any network; task, multiple and what the task needs are still to come."""
    given = asdict(facts)
    return {key: given[key] for key in ("name", "version", "summary", "outside", "range", "training", "figures")} | {
        "opset": OPSET,
        "graphs": {
            graph.name: {
                "inputs": {name: _port(graph.ports[name]) for name in graph.inputs},
                "outputs": {name: _port(graph.ports[name]) for name in graph.outputs},
            }
            for graph in graphs
        },
    }


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    import tomli_w

    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    whole = {**card, "files": files}
    tables = {key: value for key, value in whole.items() if isinstance(value, dict)}
    text = tomli_w.dumps({key: value for key, value in whole.items() if key not in tables} | tables)
    parse_card(text, str(folder / "card.toml"))
    (folder / "card.toml").write_text(text, encoding="utf-8")


def _sized(sizes: Dimensions, network: Unrolled) -> Dimensions:
    """Dimensions of a port, 0 standing for the state's channels."""
    return tuple(network.shape.hidden if size == 0 else size for size in sizes)


def _port(port: tuple[Dimensions, str, str]) -> dict[str, Any]:
    shape, meaning, unit = port
    return {"shape": list(shape), "meaning": meaning, "unit": unit}

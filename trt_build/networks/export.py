"""The reconstruction network as a model folder: the whole in one ONNX file, and the cascades that are cut out of it."""

from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor, nn

from engines.unrolled.problem import MULTIPLE, apply_inverse
from trt_build.export import Arrays, Dimensions, Facts, Graph, Ports, card_of, write_folder
from trt_build.networks.unrolled import Unrolled, seen
from trt_build.vectors import small_problems

__all__ = ["export_network"]

PLANES: Final[Dimensions] = ("frame", 2, "y", "x")
PORTS: Final[Ports] = {
    "start": (PLANES, "P b, the linear image, real and imaginary part", "sigma"),
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


class _Whole(nn.Module):
    """The network with the ports of model.onnx, and after them all tensors at which cascades are cut out of it.

    The first cascade begins at a port, the last one ends the network.
    """

    def __init__(self, network: Unrolled) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, start: Tensor, normal: Tensor, inverse: Tensor, scan: Tensor, noise: Tensor
    ) -> tuple[Tensor, ...]:
        passes = list(self.network.passes(normal, inverse, scan, noise, start))
        error = self.network.bound(passes[-1].hidden, scan)
        cuts = [tensor for passed in passes for tensor in (passed.rho, passed.planes, passed.hidden)]
        return passes[-1].image, error, *cuts[1:-1]


class _Cascade(nn.Module):
    """One cascade with the ports of the graph cascade_k."""

    def __init__(self, network: Unrolled, number: int) -> None:
        super().__init__()
        self.cascade = network.cascades[number]
        self.bound = network.bound if number == len(network.cascades) - 1 else None
        self.first = number == 0
        self.ends = self.bound is not None and not network.shape.consistent

    def forward(self, rho: Tensor, normal: Tensor, scan: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        denoised, carried = self.cascade(rho, normal, scan, None if self.first else hidden)
        if self.bound is None:
            return denoised, carried
        image = denoised * seen(rho) if self.ends else denoised  # what no coil sees has no consistent step
        return image, self.bound(carried, scan)


def export_network(network: Unrolled, folder: Path, facts: Facts) -> None:
    """Write model.onnx, vectors.npz and a card by which cascade_0, … are cut out; what write_folder raises."""
    network = network.eval()
    network.mixed = False
    graphs = _graphs(network)
    card = card_of(facts, graphs) | {"task": "unrolled", "strength": network.shape.strength, "multiple": MULTIPLE}
    write_folder(folder, [(graph, _cases(network, graph)) for graph in graphs], card)


def _graphs(network: Unrolled) -> list[Graph]:
    ports = {name: (_sized(shape, network), meaning, unit) for name, (shape, meaning, unit) in PORTS.items()}
    last = len(network.cascades) - 1
    cuts = tuple(f"cascade_{k}.{port}" for k in range(last + 1) for port in ("rho", "denoised", "hidden_out"))[1:-1]
    taken = ("start", "normal", "inverse", "scan", "noise")
    return [Graph("model", _Whole(network), taken, ("image", "error"), ports, cuts)] + [
        _cascade(network, number, ports) for number in range(last + 1)
    ]


def _cascade(network: Unrolled, number: int, ports: Ports) -> Graph:
    """One cascade, cut out of the whole."""
    ends = number == len(network.cascades) - 1
    image = "proposed" if ends and not network.shape.consistent else "denoised"
    given = (image, "error") if ends else (image, "hidden_out")
    name = f"cascade_{number}"
    tensors = {"rho": "start", image: f"{name}.denoised", "hidden_out": f"{name}.hidden_out"}
    if number:
        tensors["rho"] = f"{name}.rho"
        tensors["hidden"] = f"cascade_{number - 1}.hidden_out"
    taken = ("rho", "normal", "scan", "hidden")
    return Graph(name, _Cascade(network, number), taken, given, ports, of="model", tensors=tensors)


def _cases(network: Unrolled, graph: Graph) -> dict[str, Arrays]:
    """Small inputs of a graph: a dense inverse and blocks, or planes of two sizes."""
    cases: dict[str, Arrays] = {}
    for name, (normal, inverse, scan, noise) in small_problems(network.shape.strength).items():
        start = apply_inverse(inverse, normal[0])[None]
        given = {"start": start, "normal": normal, "inverse": inverse, "scan": scan, "noise": noise}
        if graph.name != "model":
            state = np.random.default_rng(1).standard_normal(
                (len(normal), network.shape.hidden, normal.shape[2] // 2, normal.shape[3] // 2), np.float32
            )
            given = {"rho": np.float32(2) * normal, "normal": normal, "scan": scan, "hidden": state}
        cases[name] = given
    return cases


def _sized(sizes: Dimensions, network: Unrolled) -> Dimensions:
    """Dimensions of a port, 0 standing for the state's channels."""
    return tuple(network.shape.hidden if size == 0 else size for size in sizes)

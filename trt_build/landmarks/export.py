"""Two trained networks as one model folder: graphs `model` (the whole scout) and `near`, and the template."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from engines.positioning.mean_head import packed
from engines.positioning.stripped import Stripper, packed_stripper
from engines.positioning.template import BRAIN, FILE, MEAN
from trt_build.export import Arrays, Facts, Graph, Ports, card_of, write_folder
from trt_build.landmarks.heads import NAMES
from trt_build.landmarks.network import GRIDS, LandmarkNetwork

__all__ = ["GRAPHS", "Answer", "export_landmarks", "files_of", "written"]

GRAPHS = {"model": "far", "near": "near"}  # graph -> view


class Answer(nn.Module):
    """A network with the ports of its graph; batch norms are in the weights of the convolutions."""

    def __init__(self, network: LandmarkNetwork, view: str) -> None:
        super().__init__()
        made = LandmarkNetwork(view)
        made.load_state_dict(network.state_dict())
        self.network = made.eval()
        for block in [module for module in self.network.modules() if isinstance(module, nn.Sequential)]:
            layers = list(block)
            if len(layers) == 3 and isinstance(layers[1], nn.BatchNorm3d):
                convolution = cast("nn.Conv3d", layers[0])
                block[0], block[1] = fuse_conv_bn_eval(convolution, layers[1]), nn.Identity()

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Places (frame, landmark, 3), how far off, probabilities of presence (frame, landmark) and of a body."""
        places, off, present, plausible, _ = self.network(seen)
        return places, off.exp(), present.sigmoid(), plausible.sigmoid()


def export_landmarks(
    networks: Mapping[str, LandmarkNetwork], template: Mapping[str, Any], stripper: Stripper, folder: Path, facts: Facts
) -> None:
    """Write both graphs, vectors.npz, the template, mean head and brain, and card.toml; what write_folder raises."""
    graphs = [
        Graph(
            name, Answer(networks[view], view).eval(), ("seen",), ("place", "off", "present", "plausible"), _ports(view)
        )
        for name, view in GRAPHS.items()
    ]
    card = card_of(facts, graphs) | {"task": "landmarks", "multiple": 1}
    write_folder(
        folder, [(graph, _cases(GRAPHS[graph.name])) for graph in graphs], card, dict(files_of(template, stripper))
    )


def files_of(template: Mapping[str, Any], stripper: Stripper) -> Mapping[str, bytes]:
    """What lies beside the graphs: name -> content."""
    return {FILE: written(template), MEAN: packed(stripper.mean), BRAIN: packed_stripper(stripper)}


def written(template: Mapping[str, Any]) -> bytes:
    """JSON with a line for every key."""
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in template.items())
    return f"{{\n{text}\n}}\n".encode()


def _ports(view: str) -> Ports:
    shape, spacing_mm = GRIDS[view]
    count = len(NAMES)
    whose = "the scout" if view == "far" else "the template"
    return {
        "seen": (("frame", 2, *shape), f"brightness and share measured, {spacing_mm:g} mm, axes S P L of {whose}", "1"),
        "place": (("frame", count, 3), "L P S about the middle of the view: " + ", ".join(NAMES), "mm"),
        "off": (("frame", count), "how far a place is likely to lie off", "mm"),
        "present": (("frame", count), "probability that the landmark is in the view", "1"),
        "plausible": (("frame", 1), "probability that the scout shows such a body", "1"),
    }


def _cases(view: str) -> dict[str, Arrays]:
    """A ball with a hole in noise, and noise."""
    chance = np.random.default_rng(0)
    shape, _ = GRIDS[view]
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    ball = (x**2 + y**2 + z**2 < 0.7) & ((x - 0.2) ** 2 + y**2 + z**2 > 0.05)
    known = np.ones(shape)
    cases = {}
    for name, object_ in (("ball", ball.astype(np.float64)), ("noise", np.zeros(shape))):
        image = np.abs(object_ + 0.1 * chance.standard_normal(shape))
        # In steps, so that the file is small.
        cases[name] = {"seen": np.stack([np.round(16 * image) / 16, known])[None].astype(np.float32)}
    return cases

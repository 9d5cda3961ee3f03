"""A trained network as a model folder: one graph with probabilities, severities in % and places."""

from pathlib import Path

import numpy as np
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from engines.artefacts.names import ARTEFACTS, BORDER
from engines.artefacts.planes import IMAGE, SPECTRUM, planes_of
from trt_build.artefacts.network import WIDTHS, ArtefactNetwork
from trt_build.export import Arrays, Facts, Graph, Ports, card_of, write_folder

__all__ = ["Answer", "export_artefacts"]

PORTS: Ports = {
    "image": (
        ("frame", IMAGE, "y", "x"),
        "magnitude, 1 at the 99th percentile; its logarithm; odd columns; imaginary part without the smooth phase",
        "1",
    ),
    "spectrum": (
        ("frame", SPECTRUM, "y/2", "x/2"),
        "logarithm of k-space, as it is and against its neighbourhood; how opposite points agree, a complex number",
        "1",
    ),
    "probability": (("frame", len(ARTEFACTS)), ", ".join(ARTEFACTS), "1"),
    "severity": (("frame", len(ARTEFACTS)), "change of the image by its size where the artefact is there", "%"),
    "place": (("frame", len(ARTEFACTS), f"y/{BORDER}", f"x/{BORDER}"), "what speaks for each artefact, where", "1"),
}
SMALL = ((64, 48), (32, 80))  # sides of the test vectors


class Answer(nn.Module):
    """The network with the ports of model.onnx; batch norms are in the weights of the convolutions.

    What a place says for an artefact is its features times the weights of the score: Zhou et al., CVPR 2016; 2921.
    """

    def __init__(self, network: ArtefactNetwork) -> None:
        super().__init__()
        self.network = _fused(network.eval())
        features = WIDTHS[-1]
        self.place = nn.Conv2d(features, len(ARTEFACTS), 1, bias=False)
        mean, largest = network.score.weight[:, :features], network.score.weight[:, features : 2 * features]
        self.place.weight.data = (mean + largest).detach()[:, :, None, None].clone()

    def forward(self, image: Tensor, spectrum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities (frame, artefact), severities in %, places (frame, artefact, y/16, x/16)."""
        score, degree, seen = self.network(image, spectrum)
        return score.sigmoid(), 100 * degree.exp(), self.place(seen)


def export_artefacts(network: ArtefactNetwork, folder: Path, facts: Facts) -> None:
    """Write model.onnx, vectors.npz and card.toml; what write_folder raises."""
    graph = Graph("model", Answer(network).eval(), ("image", "spectrum"), ("probability", "severity", "place"), PORTS)
    card = card_of(facts, [graph]) | {"task": "artefacts", "multiple": BORDER}
    write_folder(folder, [(graph, _cases())], card)


def _cases() -> dict[str, Arrays]:
    """Discs in noise, of two sizes."""
    chance = np.random.default_rng(0)
    cases: dict[str, Arrays] = {}
    for rows, columns in SMALL:
        y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
        disc = np.hypot(y, x) < 0.8
        noise = 0.02 * chance.standard_normal((2, rows, columns))
        pixels = disc * (1 + 0.3 * np.sin(9 * x)) * np.exp(1j * y) + noise[0] + 1j * noise[1]
        cases[f"{rows}x{columns}"] = planes_of(pixels.astype(np.complex64))
    return cases


def _fused(network: ArtefactNetwork) -> ArtefactNetwork:
    """A copy without batch norms."""
    made = ArtefactNetwork()
    made.load_state_dict(network.state_dict())
    made = made.eval()
    for block in [*made.image, *made.spectrum]:
        for at, layer in enumerate(block):
            if isinstance(layer, nn.Conv2d):
                block[at], block[at + 1] = fuse_conv_bn_eval(layer, block[at + 1]), nn.Identity()
    return made

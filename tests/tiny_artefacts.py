"""A model folder for artefacts as small as can be: one convolution, and a bias that finds one artefact in everything.

`flaw` makes it fail on real images, which are brighter than its test vectors.
"""

import hashlib
from pathlib import Path

import numpy as np

from engines.artefacts import planes
from engines.artefacts.names import ARTEFACTS, BORDER
from tests.tiny_model import OPSET, Graph, port_tables

IMAGE, SPECTRUM = ["frame", planes.IMAGE, "y", "x"], ["frame", planes.SPECTRUM, "y/2", "x/2"]
EACH, PLACE = ["frame", len(ARTEFACTS)], ["frame", len(ARTEFACTS), f"y/{BORDER}", f"x/{BORDER}"]
CARD = """name = "{name}"
version = "1.0"
task = "artefacts"
summary = "for tests"
multiple = 16
opset = {opset}
outside = "no opinion"
[files]
{files}
{ports}
[range]
acceleration = [1, 4]
coils = [1, 64]
matrix = {matrix}
snr = [1, 1000]
calibration_lines = [8, 64]
contrast = ["none"]
[training]
split = "none"
supervision = "none"
recipe = "none"
seed = 0
commit = "none"
minutes = 0
device = "none"
[[training.data]]
name = "none"
licence = "none"
[figures]
"""


def graph_of(finds, flaw):
    graph = Graph()
    doubled = graph.scaled("image", 2.0)
    seen = graph.spoilt(doubled, flaw) if flaw in ("nan", "error") else doubled
    kernel = np.zeros((len(ARTEFACTS), planes.IMAGE, BORDER, BORDER), np.float32)
    kernel[:, 0] = 0.5 / BORDER**2
    place = graph.add("Conv", seen, graph.constant(kernel, np.float32), strides=[BORDER, BORDER])
    strongest = graph.add("ReduceMax", place, graph.constant([2, 3]), keepdims=0)
    bias = [4.0 if name == finds else -6.0 for name in ARTEFACTS]
    probability = graph.add("Sigmoid", graph.add("Add", strongest, graph.constant(bias, np.float32)))
    quiet = graph.scaled(graph.add("ReduceMax", "spectrum", graph.constant([1, 2, 3]), keepdims=1), 0.0)
    severity = graph.add("Add", graph.scaled(strongest, 10.0), graph.add("Flatten", quiet))
    outputs = {"probability": (probability, EACH), "severity": (severity, EACH), "place": (place, PLACE)}
    return graph.file({"image": IMAGE, "spectrum": SPECTRUM}, outputs)


def answer(image, finds):
    """What the graph computes, in NumPy."""
    frames, _, rows, columns = image.shape
    cells = image[:, 0].reshape(frames, rows // BORDER, BORDER, columns // BORDER, BORDER).mean((2, 4))
    place = np.repeat(cells[:, None], len(ARTEFACTS), 1)
    strongest = place.max((2, 3))
    bias = np.array([4.0 if name == finds else -6.0 for name in ARTEFACTS], np.float32)
    probability = 1 / (1 + np.exp(-(strongest + bias)))
    return {"probability": probability, "severity": 10 * strongest, "place": place}


def make_artefacts(folder, name="tiny_artefacts", finds="motion", flaw="", matrix=(16, 512)):
    """Write an unsigned model folder `folder`/`name`; gives its path."""
    path = Path(folder) / name
    path.mkdir(parents=True)
    random = np.random.default_rng(0)
    image = random.uniform(0, 0.5, (1, planes.IMAGE, 32, 48)).astype(np.float32)
    given = {"image": image, "spectrum": random.standard_normal((1, planes.SPECTRUM, 16, 24)).astype(np.float32)}
    wanted = {port: value.astype(np.float32) for port, value in answer(image, finds).items()}
    if flaw == "self-test":
        wanted["severity"] = 2 * wanted["severity"]
    np.savez(path / "vectors.npz", **{f"model/one/{port}": value for port, value in {**given, **wanted}.items()})
    (path / "model.onnx").write_bytes(graph_of(finds, flaw))
    ports = port_tables("model", "inputs", {"image": IMAGE, "spectrum": SPECTRUM})
    ports += port_tables("model", "outputs", {"probability": EACH, "severity": EACH, "place": PLACE})
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.iterdir())}
    told = "\n".join(f'"{file}" = "{digest}"' for file, digest in files.items())
    card = CARD.format(name=name, opset=OPSET, files=told, ports=ports, matrix=list(matrix))
    (path / "card.toml").write_text(card, encoding="utf-8")
    return path

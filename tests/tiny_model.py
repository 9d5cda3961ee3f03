"""A model folder as small as can be: a network of one cascade that multiplies by 0.9, in real ONNX files.

`flaw` makes it fail on real frames, whose values are larger than those of its test vectors.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.unrolled.problem import apply_inverse

OPSET, FACTOR, STRENGTH, HIDDEN = 18, 0.9, 12.0, 3
SMALL = 1.5  # test vectors are smaller
NORMAL, INVERSE = ["frame", 2, "y", "x"], ["group", "2*alias", "alias"]
STATE, ERROR = ["frame", HIDDEN, "y/2", "x/2"], ["frame", 1, "y", "x"]
SCAN, NOISE = [2], ["y", "x"]
WHOLE = {"start": NORMAL, "normal": NORMAL, "inverse": INVERSE, "scan": SCAN, "noise": NOISE}
CASCADE = {"rho": NORMAL, "normal": NORMAL, "scan": SCAN, "hidden": STATE}


class Graph:
    """Nodes under way; every method adds one and gives the name of what it makes."""

    def __init__(self):
        self.nodes = []
        self.constants = []

    def add(self, kind, *inputs, outputs=1, **attributes):
        names = [f"t{len(self.nodes)}_{n}" for n in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value, dtype=np.int64):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def scaled(self, tensor, factor):
        return self.add("Mul", tensor, self.constant(factor, np.float32))

    def size(self, tensor, axis):
        return self.add("Gather", self.add("Shape", tensor), self.constant([axis]))

    def regularisation(self):
        """Lambda (1,) of the scan."""
        root = self.add("Gather", "scan", self.constant([0]))
        return self.add("Mul", root, root)

    def consistent(self, planes):
        """P of planes (frame, 2, y, x); engines.unrolled.problem.apply_inverse says how."""
        frame, alias, x = self.size(planes, 0), self.size("inverse", 2), self.size(planes, 3)
        folded = self.add("Div", self.size(planes, 2), alias)
        two, all_ = self.constant([2]), self.constant([-1])
        pairs = self.add("Mul", frame, two)
        deep = self.add("Reshape", planes, self.add("Concat", pairs, alias, folded, x, axis=0))
        groups = self.add("Transpose", deep, perm=[2, 3, 1, 0])
        product = self.add(
            "MatMul", "inverse", self.add("Reshape", groups, self.add("Concat", all_, alias, pairs, axis=0))
        )
        upper, lower = self.add("Split", product, outputs=2, axis=1, num_outputs=2)
        apart = self.add("Concat", all_, alias, frame, two, axis=0)
        (ur, ui), (lr, li) = (
            self.add("Split", self.add("Reshape", half, apart), outputs=2, axis=3, num_outputs=2)
            for half in (upper, lower)
        )
        out = self.add("Concat", self.add("Sub", ur, li), self.add("Add", ui, lr), axis=3)
        out = self.add("Reshape", out, self.add("Concat", folded, x, alias, pairs, axis=0))
        out = self.add("Transpose", out, perm=[3, 2, 0, 1])
        return self.add("Reshape", out, self.add("Shape", planes))

    def spoilt(self, image, flaw):
        """The image, unless its values are larger than SMALL."""
        largest = self.add("ReduceMax", self.add("Abs", image), keepdims=0)
        excess = self.add("Relu", self.add("Sub", largest, self.constant(SMALL, np.float32)))
        if flaw == "nan":
            infinite = self.add("Exp", self.scaled(excess, 1e6))
            return self.add("Add", image, self.add("Mul", infinite, self.constant(0, np.float32)))
        beyond = self.add("Cast", self.add("Ceil", excess), to=TensorProto.INT64)
        return self.add("Add", image, self.add("Gather", self.constant([0], np.float32), beyond))

    def file(self, inputs, outputs, opset=OPSET):
        for name, (made, _) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [made], [name]))
        ports = [[info(n, s) for n, s in inputs.items()], [info(n, s) for n, (_, s) in outputs.items()]]
        graph = helper.make_graph(self.nodes, "tiny", *ports, initializer=self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def info(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def whole_graph(flaw):
    graph = Graph()
    proposed = graph.scaled(graph.add("Mul", "start", graph.regularisation()), FACTOR)
    image = graph.add("Add", "start", graph.consistent(proposed))
    for unused in ("normal", "noise"):
        image = graph.add("Add", image, graph.scaled(unused, 0.0))
    image = graph.spoilt(image, flaw) if flaw in ("nan", "error") else image
    error, _ = graph.add("Split", graph.add("Abs", image), outputs=2, axis=1, num_outputs=2)
    return graph.file(WHOLE, {"image": (image, NORMAL), "error": (error, ERROR)})


def cascade_graph(flaw):
    graph = Graph()
    error, _ = graph.add("Split", graph.add("Abs", "rho"), outputs=2, axis=1, num_outputs=2)
    used = graph.add("Add", graph.scaled("rho", FACTOR), graph.scaled("normal", 0.0))
    used = graph.add("Add", used, graph.scaled(graph.regularisation(), 0.0))
    used = graph.spoilt(used, flaw) if flaw in ("nan", "error") else used
    outputs = {"denoised": (used, NORMAL), "hidden_out": (graph.scaled("hidden", 1.0), STATE), "error": (error, ERROR)}
    return graph.file(CASCADE, outputs)


def network(start, inverse, scan, normal=None, noise=None):
    """What the graph computes, in NumPy."""
    image = start + apply_inverse(inverse, scan[0] ** 2 * np.float32(FACTOR) * start[0])
    return {"image": image, "error": np.abs(image[:, :1])}


def problem(y, x, alias, frames=1, seed=0):
    """What the graph takes: any images of y x x pixels, and an inverse of groups of `alias` of them."""
    random = np.random.default_rng(seed)
    return {
        "start": random.uniform(-1, 1, (frames, 2, y, x)).astype(np.float32),
        "normal": random.uniform(-1, 1, (frames, 2, y, x)).astype(np.float32),
        "inverse": random.uniform(-1, 1, (y * x // alias, 2 * alias, alias)).astype(np.float32) / (4 * alias),
        "scan": random.uniform(0.3, 1, 2).astype(np.float32),
        "noise": random.uniform(0, 1, (y, x)).astype(np.float32),
    }


def vectors(flaw):
    random = np.random.default_rng(0)
    scan = np.array([0.6, 0.3], np.float32)
    stored = {}
    for name, (alias, y, x) in {"dense": (16, 16, 8), "blocks": (4, 16, 8)}.items():
        start, normal = random.uniform(-1, 1, (2, 1, 2, y, x)).astype(np.float32)
        inverse = random.uniform(-1, 1, (y * x // alias, 2 * alias, alias)).astype(np.float32) / (4 * alias)
        wanted = network(start, inverse, scan)
        wanted["image"] = wanted["image"] * (2 if flaw == "self-test" else 1)
        given = {"start": start, "normal": normal, "inverse": inverse, "scan": scan}
        given["noise"] = np.ones((y, x), np.float32)
        for port, value in {**given, **wanted}.items():
            stored[f"model/{name}/{port}"] = value
    rho, normal = random.uniform(-1, 1, (2, 1, 2, 16, 8)).astype(np.float32)
    hidden = random.uniform(-1, 1, (1, HIDDEN, 8, 4)).astype(np.float32)
    cascade = {"rho": rho, "normal": normal, "scan": scan, "hidden": hidden}
    cascade |= {"denoised": np.float32(FACTOR) * rho, "hidden_out": hidden, "error": np.abs(rho[:, :1])}
    return stored | {f"cascade_0/one/{port}": value for port, value in cascade.items()}


def port_tables(graph, kind, ports):
    return "".join(
        f'[graphs.{graph}.{kind}.{name}]\nshape = {json.dumps(shape)}\nmeaning = "a test"\nunit = "sigma"\n'
        for name, shape in ports.items()
    )


def make_model(folder, name="tiny", flaw="", cascades=True, **ranges):
    """Write an unsigned model folder `folder`/`name`; ranges replace those of its card. Gives its path."""
    path = Path(folder) / name
    path.mkdir(parents=True)
    np.savez(path / "vectors.npz", **vectors(flaw))
    (path / "model.onnx").write_bytes(whole_graph(flaw))
    if cascades:
        (path / "cascade_0.onnx").write_bytes(cascade_graph(flaw))
    spans = {
        "acceleration": [2, 8],
        "coils": [2, 32],
        "matrix": [16, 512],
        "snr": [1, 1e5],
        "calibration_lines": [8, 64],
    }
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.iterdir())}
    (path / "card.toml").write_text(
        f'name = "{name}"\nversion = "1.0"\ntask = "unrolled"\nsummary = "for tests"\nstrength = {STRENGTH}\n'
        f'multiple = 8\nopset = {OPSET}\noutside = "the linear image"\n[files]\n'
        + "".join(f'"{file}" = "{digest}"\n' for file, digest in files.items())
        + port_tables("model", "inputs", WHOLE)
        + port_tables("model", "outputs", {"image": NORMAL, "error": ERROR})
        + (port_tables("cascade_0", "inputs", CASCADE) if cascades else "")
        + (
            port_tables("cascade_0", "outputs", {"denoised": NORMAL, "hidden_out": STATE, "error": ERROR})
            if cascades
            else ""
        )
        + "[range]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {**spans, **ranges}.items())
        + 'contrast = ["none"]\n[training]\nsplit = "none"\nsupervision = "none"\nrecipe = "none"\nseed = 0\n'
        'commit = "none"\nminutes = 0\ndevice = "none"\n'
        '[[training.data]]\nname = "none"\nlicence = "none"\n[figures]\n',
        encoding="utf-8",
    )
    return path

"""Model folders small enough to make in a test: `linear` computes image = P b, as the first step of a network does."""

import hashlib
import io

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.backends.reference import infer

FLOAT = TensorProto.FLOAT
PORT = '[graphs.model.{}.{}]\nshape = {}\nmeaning = "{}"\nunit = "{}"\n'
CARD = """\
name = "{name}"
version = "1.0"
task = "unrolled"
summary = "the linear image, for tests"
regularisation = 0.05
multiple = 8
opset = {opset}
precisions = {precisions}
outside = "the linear image goes out"

[files]
{files}
{ports}
[range]
acceleration = [2, 8]
coils = [4, 32]
matrix = [16, 512]
snr = [2, 100]
calibration_lines = [12, 48]
contrast = ["T1"]

[training]
data = [{{ name = "nothing", licence = "CC0-1.0" }}]
split = "none"
supervision = "none"
recipe = "none"
seed = 0
commit = "0"
minutes = 0
device = "none"

[figures]
psnr_db = 0.0
"""
PORTS = (
    ("inputs", "normal", ["frame", 2, "y", "x"], "b, real and imaginary", "sigma"),
    ("inputs", "inverse", ["group", "2*alias", "alias"], "P, real above imaginary", "1"),
    ("outputs", "image", ["frame", 2, "y", "x"], "image", "sigma"),
    ("outputs", "error", ["frame", 1, "y", "x"], "bound", "sigma"),
)


def unfold(scale=1.0, opset=18, inputs=("normal", "inverse"), spoil=None, twist=0.0):
    """Make the graph of image = scale P b + twist, error = |scale P b|, for dynamic sizes, as ONNX bytes."""
    normal, inverse = inputs
    nodes = []
    numbers = iter(range(1000))

    def op(kind, *given, **attributes):
        out = f"t{next(numbers)}"
        nodes.append(helper.make_node(kind, list(given), [out], **attributes))
        return out

    whole = {name: numpy_helper.from_array(np.array(value, np.int64), name) for name, value in CONSTANTS.items()}
    factor = np.array([scale, twist], np.float32)
    if spoil is not None:
        factor[0] = spoil
    whole["scale"] = numpy_helper.from_array(factor[:1], "scale")
    whole["twist"] = numpy_helper.from_array(factor[1:], "twist")
    shape, sizes = op("Shape", normal), op("Shape", inverse)
    frame, x = op("Gather", shape, "i0"), op("Gather", shape, "i3")
    group, alias = op("Gather", sizes, "i0"), op("Gather", sizes, "i2")
    folded = op("Div", group, x)
    planes = op("Reshape", normal, op("Concat", frame, "two", alias, folded, x, axis=0))
    turned = op("Transpose", planes, perm=[3, 4, 2, 0, 1])
    vectors = op("Reshape", turned, op("Concat", group, alias, "any", axis=0))
    product = op("MatMul", inverse, vectors)
    parts = op("Reshape", product, op("Concat", group, "two", alias, frame, "two", axis=0))
    first, second = op("Gather", parts, "n0", axis=1), op("Gather", parts, "n1", axis=1)
    corner = [op("Gather", half, index, axis=3) for half in (first, second) for index in ("n0", "n1")]
    real, imaginary = op("Sub", corner[0], corner[3]), op("Add", corner[1], corner[2])
    axes = [op("Unsqueeze", part, "last") for part in (real, imaginary)]
    solved = op("Concat", *axes, axis=-1)
    open_ = op("Reshape", solved, op("Concat", folded, x, alias, frame, "two", axis=0))
    image = op("Reshape", op("Transpose", open_, perm=[3, 4, 2, 0, 1]), shape)
    nodes.append(helper.make_node("Add", [op("Mul", image, "scale"), "twist"], ["image"]))
    nodes.append(helper.make_node("ReduceL2", ["image", "one"], ["error"], keepdims=1))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(normal, FLOAT, ["frame", 2, "y", "x"]),
            helper.make_tensor_value_info(inverse, FLOAT, ["group", "alias2", "alias"]),
        ],
        [
            helper.make_tensor_value_info("image", FLOAT, ["frame", 2, "y", "x"]),
            helper.make_tensor_value_info("error", FLOAT, ["frame", 1, "y", "x"]),
        ],
        list(whole.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return model.SerializeToString()


CONSTANTS = {
    "i0": [0], "i2": [2], "i3": [3], "n0": 0, "n1": 1, "two": [2], "any": [-1], "last": [-1], "one": [1],
}  # fmt: skip


def problem(y=16, x=8, alias=16, frames=1, seed=0):
    """Inputs of a graph: random b, and the inverse of random Hermitian matrices."""
    random = np.random.default_rng(seed)
    groups = y * x // alias
    root = random.standard_normal((groups, alias, alias)) + 1j * random.standard_normal((groups, alias, alias))
    matrices = np.linalg.inv(root @ root.conj().swapaxes(1, 2) / alias + np.eye(alias))
    return {
        "normal": random.standard_normal((frames, 2, y, x), np.float32),
        "inverse": np.concatenate([matrices.real, matrices.imag], 1).astype(np.float32),
    }


def wanted(given, scale=1.0):
    """What `unfold` should answer."""
    image = np.float32(scale) * infer(given)["image"]
    return {"image": image, "error": np.sqrt((image**2).sum(1, keepdims=True))}


def vectors(scale=1.0):
    """vectors.npz with one dense and one block case."""
    arrays = {}
    for case, given in (("dense", problem()), ("block", problem(32, 16, 4))):
        for port, value in {**given, **wanted(given, scale)}.items():
            arrays[f"model/{case}/{port}"] = value
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    return stored.getvalue()


def write(folder, onnx_bytes=None, *, stored=None, opset=18, precisions=("single",), edit=lambda card: card):
    """Write a whole model folder, unsigned; `edit` changes the text of the card."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"model.onnx": unfold() if onnx_bytes is None else onnx_bytes, "vectors.npz": stored or vectors()}
    for file, data in content.items():
        (folder / file).write_bytes(data)
    files = "\n".join(f'"{file}" = "{hashlib.sha256(data).hexdigest()}"' for file, data in content.items())
    ports = "\n".join(PORT.format(side, name, shape, meaning, unit) for side, name, shape, meaning, unit in PORTS)
    text = CARD.format(name=folder.name, opset=opset, precisions=list(precisions), files=files, ports=ports)
    (folder / "card.toml").write_text(edit(text), encoding="utf-8")
    return folder


__all__ = ["onnx", "problem", "unfold", "vectors", "wanted", "write"]

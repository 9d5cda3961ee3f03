"""Model folders with something wrong: the tiny model, altered, with the card's hashes made to fit again."""

import hashlib

import onnx
from onnx import numpy_helper

from tests.tiny_model import make_model

__all__ = ["altered_onnx", "edit_card", "make_model", "rehash"]


def edit_card(folder, old, new):
    """Replace text of the card."""
    path = folder / "card.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def rehash(folder, file, content):
    """Write a file and its new SHA-256 into the card."""
    old = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / file).write_bytes(content)
    return edit_card(folder, old, hashlib.sha256(content).hexdigest())


def altered_onnx(folder, alter):
    """Let `alter` change model.onnx, an onnx.ModelProto."""
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    alter(model)
    return rehash(folder, "model.onnx", model.SerializeToString())


def poison(model, value=float("nan")):
    """Put a NaN among the weights."""
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == "float32":
            weight.CopyFrom(numpy_helper.from_array(array * value, weight.name))
            return

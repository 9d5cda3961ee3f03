"""What is lowered to bfloat16, and nothing else, is computed in it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.backends.ov_bf16 import lower_convolutions

openvino = pytest.importorskip("openvino")
capable = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
CHANNELS = 8


def graph():
    """relu(conv(a) + conv(relu(conv(a)))) and, beside it, a product of the planes with themselves."""
    random = np.random.default_rng(0)
    weights = {
        f"w{n}": (random.standard_normal((CHANNELS, CHANNELS, 3, 3)) / CHANNELS).astype(np.float32) for n in range(3)
    } | {f"b{n}": random.standard_normal(CHANNELS).astype(np.float32) for n in range(3)}
    nodes = [
        helper.make_node("Conv", ["a", "w0", "b0"], ["skip"], pads=[1] * 4),
        helper.make_node("Conv", ["a", "w1", "b1"], ["first"], pads=[1] * 4),
        helper.make_node("Relu", ["first"], ["bent"]),
        helper.make_node("Conv", ["bent", "w2", "b2"], ["second"], pads=[1] * 4),
        helper.make_node("Add", ["skip", "second"], ["sum"]),
        helper.make_node("DepthToSpace", ["sum"], ["shuffled"], blocksize=2, mode="CRD"),
        helper.make_node("MatMul", ["a", "a"], ["product"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["frame", channels, "y", "x"])
        for name, channels in (("a", CHANNELS), ("shuffled", CHANNELS // 4), ("product", CHANNELS))
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    made = helper.make_graph(nodes, "convolutions", ports[:1], ports[1:], initializer=constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def compiled(lowered):
    core = openvino.Core()
    model = core.read_model(graph())
    if lowered:
        lower_convolutions(model)
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def arithmetic(model, kind):
    nodes = (node.get_rt_info() for node in model.get_runtime_model().get_ops())
    return {str(info["runtimePrecision"].value) for info in nodes if str(info["layerType"].value) == kind}


@pytest.mark.skipif(not capable, reason="this processor has no bfloat16")
def test_convolutions_alone_are_in_bfloat16():
    model = compiled(lowered=True)
    assert arithmetic(model, "Convolution") == {"bf16"}
    assert arithmetic(model, "MatMul") == {"f32"}
    assert arithmetic(compiled(lowered=False), "Convolution") == {"f32"}


@pytest.mark.skipif(not capable, reason="this processor has no bfloat16")
def test_what_they_compute_is_the_same_to_eight_bits_and_the_rest_to_all():
    given = np.random.default_rng(1).standard_normal((2, CHANNELS, 16, 16), np.float32)
    exact, got = (compiled(lowered)({"a": given}) for lowered in (False, True))
    off = np.linalg.norm(got["shuffled"] - exact["shuffled"]) / np.linalg.norm(exact["shuffled"])
    assert 1e-4 < off < 1e-2
    np.testing.assert_array_equal(got["product"], exact["product"])

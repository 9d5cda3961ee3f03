"""Graphs rearranged for OpenVINO compute what they did."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.backends.ov_layout import flatten_planes, separate_means

openvino = pytest.importorskip("openvino")


def graph(planes, *, padding=1, mode="CRD", edges=1):
    """Pixels of a convolution side by side, as so many planes, and their mean over 5 x 3 pixels."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.standard_normal((4 * planes, 3, 3, 3)).astype(np.float32),
        "b": random.standard_normal(4 * planes).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["a", "w", "b"], ["wide"], pads=[padding] * 4),
        helper.make_node("DepthToSpace", ["wide"], ["planes"], blocksize=2, mode=mode),
        helper.make_node(
            "AveragePool", ["planes"], ["mean"], kernel_shape=[5, 3], pads=[2, 1, 2, 1], count_include_pad=edges
        ),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["frame", channels, f"{name} y", f"{name} x"])
        for name, channels in (("a", 3), ("planes", planes), ("mean", planes))
    ]
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    made = helper.make_graph(nodes, "planes", ports[:1], ports[1:], initializer=constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return openvino.Core().read_model(model.SerializeToString())


def computed(model):
    given = np.random.default_rng(1).standard_normal((2, 3, 10, 7), np.float32)
    got = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"a": given})
    return got["planes"], got["mean"]


@pytest.mark.parametrize("planes", [1, 2])
def test_planes_shuffled_by_a_transposition_are_the_same(planes):
    model = graph(planes)
    assert flatten_planes(model) == 1
    for got, wanted in zip(computed(model), computed(graph(planes)), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_mean_taken_along_one_direction_after_the_other_is_the_same():
    model = graph(2)
    assert separate_means(model) == 1
    for got, wanted in zip(computed(model), computed(graph(2)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("other", [{"planes": 3}, {"planes": 2, "padding": 0}, {"planes": 2, "mode": "DCR"}])
def test_many_planes_and_others_than_asked_for_stay_as_they_are(other):
    assert flatten_planes(graph(**other)) == 0


def test_a_mean_of_what_lies_inside_the_image_alone_stays_as_it_is():
    assert separate_means(graph(2, edges=0)) == 0

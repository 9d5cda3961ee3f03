"""A part cut out of an ONNX file computes what it computed inside, under the names of its card, or is refused."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from engines.backends.interface import Job
from engines.backends.ort import open_graph
from engines.card import Graph
from engines.errors import ModelError
from engines.model import load_model, shipped
from engines.onnx_cut import cut_graph
from engines.selftest import relative_error
from tests.engines.unrolled.in_parts import through_cascades
from tests.tiny_model import make_model

PLANES = ["frame", 2, "y", "x"]
UNROLLED = [
    name for name, folder in shipped().items() if 'task = "unrolled"' in (folder / "card.toml").read_text("utf-8")
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_model(make_model(tmp_path_factory.mktemp("models")), allow_unsigned=True)


@pytest.fixture(scope="module")
def content(tiny):
    return tiny.read("model.onnx")


def ports(**tensors):
    """Ports by name, each a tensor's name, or None for that of the port."""
    return {
        name: {"shape": PLANES, "meaning": "a test", "unit": "1"} | ({} if tensor is None else {"tensor": tensor})
        for name, tensor in tensors.items()
    }


def part(inputs, outputs):
    return Graph.model_validate({"of": "model", "inputs": inputs, "outputs": outputs})


def inner(content):
    """Names of the tensors around the factor that makes lambda times the start the tiny model's proposal."""
    nodes = onnx.load_from_string(content).graph.node
    weighed = next(node for node in nodes if node.op_type == "Mul" and "start" in node.input)
    scaled = next(node for node in nodes if weighed.output[0] in node.input)
    return scaled.input[0], scaled.output[0]


def test_a_part_says_what_its_card_says(content):
    before, after = inner(content)
    made = onnx.load_from_string(cut_graph(content, part(ports(rho=before), ports(denoised=after)), "tiny"))
    onnx.checker.check_model(made, full_check=True)
    sizes = [d.dim_param or d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    assert ([port.name for port in made.graph.input], sizes) == (["rho"], PLANES)
    assert [port.name for port in made.graph.output] == ["denoised"]


def test_a_part_computes_what_onnx_itself_cuts_out(content):
    before, after = inner(content)
    made = cut_graph(content, part(ports(rho=before), ports(denoised=after)), "tiny")
    whole = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    peer = onnx.utils.Extractor(whole).extract_model([before], [after])
    rho = np.random.default_rng(0).standard_normal((1, 2, 16, 8), np.float32)
    np.testing.assert_array_equal(
        ReferenceEvaluator(made).run(None, {"rho": rho})[0], ReferenceEvaluator(peer).run(None, {before: rho})[0]
    )


def test_a_part_that_reaches_to_the_ends_is_the_whole(tiny, content):
    whole = Graph.model_validate(tiny.graph("model").model_dump() | {"of": "model"})
    cut = cut_graph(content, whole, "tiny")
    given, wanted = tiny.cases("model")["blocks"]
    with open_graph(Job("tiny/cut", cut, whole, tiny.hash)) as opened:
        assert relative_error(opened.infer(given)["image"], wanted["image"]) < 1e-6


def test_an_input_that_nothing_depends_on_is_taken_and_left(content):
    before, after = inner(content)
    made = cut_graph(content, part(ports(rho=before, hidden=None), ports(denoised=after)), "tiny")
    assert [port.name for port in onnx.load_from_string(made).graph.input] == ["rho", "hidden"]


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_tensor_that_is_not_there_is_named(content, where):
    before, after = inner(content)
    tensors = {"inputs": before, "outputs": after} | {where: "lost"}
    with pytest.raises(ModelError, match="tiny: no tensor 'lost' to cut at"):
        cut_graph(content, part(ports(rho=tensors["inputs"]), ports(denoised=tensors["outputs"])), "tiny")


def test_a_part_that_needs_more_than_its_card_lets_it_take_is_refused(content):
    _, after = inner(content)
    with pytest.raises(ModelError, match="depends on 'start' too"):
        cut_graph(content, part(ports(scan=None), ports(denoised=after)), "tiny")


def test_a_port_named_like_a_tensor_inside_is_refused(content):
    before, after = inner(content)
    nodes = onnx.load_from_string(content).graph.node
    weight = next(name for node in nodes if after in node.output for name in node.input if name != before)
    with pytest.raises(ModelError, match=f"a tensor inside is called '{weight}'"):
        cut_graph(content, part(ports(**{weight: before}), ports(denoised=after)), "tiny")


@pytest.mark.parametrize("size", [0, 10, -1])
def test_what_is_no_whole_file_is_refused(content, size):
    with pytest.raises(ModelError, match="not a whole ONNX file"):
        cut_graph(content[:size], part(ports(rho="a"), ports(denoised="b")), "tiny")


@pytest.mark.parametrize("form", ["dense", "blocks"])
@pytest.mark.parametrize("name", UNROLLED)
def test_cascades_of_shipped_networks_and_the_exact_consistent_step_make_their_image(name, form):
    model = load_model(name)
    given, wanted = model.cases("model")[form]
    with open_graph(Job(f"{name}/model", model.onnx("model"), model.graph("model"), model.hash)) as opened:
        whole = opened.infer(given)
    image, error = through_cascades(model, **given)
    assert relative_error(image, whole["image"]) < 1e-5
    assert relative_error(error, whole["error"]) < 1e-5
    assert relative_error(image, wanted["image"]) < 1e-5

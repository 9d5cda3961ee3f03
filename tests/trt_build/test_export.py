"""What is exported computes what was trained, in every form and size, whole or in parts."""

import numpy as np
import pytest
import torch

from engines.model import load_model
from engines.selftest import relative_error
from engines.unrolled.problem import apply_inverse
from tests.engines.unrolled.in_parts import through_cascades
from trt_build import export, publish
from trt_build.export import ExportError, Facts
from trt_build.networks.export import export_network
from trt_build.networks.unrolled import Unrolled, UnrolledShape
from trt_build.training import checkpoint
from trt_build.training.checkpoint import CheckpointError
from trt_build.training.recipe import Recipe, RecipeError
from trt_build.vectors import small_problems

SHAPE = UnrolledShape(cascades=2, width=8, hidden=4, coarse=1, strength=15.0)
FACTS = Facts(
    name="small",
    version="1.0",
    summary="for tests",
    range={
        "acceleration": [2, 8],
        "coils": [2, 32],
        "matrix": [16, 512],
        "snr": [1, 100],
        "calibration_lines": [8, 64],
        "contrast": ["none"],
    },
    training={
        "data": [{"name": "none", "licence": "none"}],
        "split": "none",
        "supervision": "none",
        "recipe": "none",
        "seed": 0,
        "commit": "none",
        "minutes": 0,
        "device": "none",
    },
    figures={},
    outside="the linear image",
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = Unrolled(SHAPE).eval()
    for cascade in made.cascades:
        torch.nn.init.normal_(cascade.tail.weight, std=0.02)
        torch.nn.init.normal_(cascade.told.weight)
    return made


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "small"
    export_network(network, path, FACTS)
    return path


def session(onnx):
    return pytest.importorskip("onnxruntime").InferenceSession(onnx, providers=["CPUExecutionProvider"])


def test_the_folder_is_a_model_with_a_vector_of_each_form(folder):
    model = load_model(folder, allow_unsigned=True)
    assert list(model.card.graphs) == ["model", "cascade_0", "cascade_1"]
    assert set(model.cases("model")) == {"dense", "blocks"}
    assert model.card.strength == 15.0


@pytest.mark.parametrize(("alias", "rows", "columns", "frames"), [(48, 48, 16, 1), (6, 24, 40, 3), (8, 8, 8, 1)])
def test_sizes_it_was_not_exported_with(folder, network, alias, rows, columns, frames):
    chance = np.random.default_rng(3)
    normal = 10 * chance.standard_normal((frames, 2, rows, columns), np.float32)
    inverse = chance.standard_normal((rows * columns // alias, 2 * alias, alias), np.float32) / alias
    scan, noise = chance.uniform(0.1, 1, 2).astype(np.float32), chance.uniform(0, 9, (rows, columns)).astype(np.float32)
    start = np.concatenate([apply_inverse(inverse, planes)[None] for planes in normal])
    given = {"normal": normal, "inverse": inverse, "scan": scan, "noise": noise}
    image, error = session((folder / "model.onnx").read_bytes()).run(None, {"start": start, **given})
    with torch.no_grad():
        wanted = network(*map(torch.from_numpy, given.values()))
    np.testing.assert_allclose(image, wanted[0].numpy(), atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(error, wanted[1].numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("form", ["dense", "blocks"])
def test_cascades_cut_out_of_it_and_the_exact_consistent_step_make_its_image(folder, form):
    problem = small_problems(SHAPE.strength)[form]
    model = load_model(folder, allow_unsigned=True)
    whole = session(model.onnx("model"))
    given = dict(zip(("normal", "inverse", "scan", "noise"), problem, strict=True))
    start = apply_inverse(given["inverse"], given["normal"][0])[None]
    image, error = whole.run(["image", "error"], {"start": start, **given})
    in_parts, its_error = through_cascades(model, *problem)
    assert relative_error(in_parts, image) < 1e-5
    assert relative_error(its_error, error) < 1e-5


def test_all_its_weights_stand_in_one_file(folder):
    model = load_model(folder, allow_unsigned=True)
    assert sorted(model.card.files) == ["model.onnx", "vectors.npz"]
    assert {graph.of for name, graph in model.card.graphs.items() if name != "model"} == {"model"}
    weights = sum(len(model.onnx(name)) for name in model.card.graphs if name != "model")
    assert weights < 1.5 * len(model.onnx("model"))


def test_a_graph_that_computes_something_else_is_not_shipped(network, folder, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"model, output 'image': ONNX Runtime differs"):
        export_network(network, folder, FACTS)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_what_cannot_be_exported_says_so(tmp_path):
    (tmp_path / "odd.pt").write_text("no checkpoint")
    options = publish.Options(tmp_path / "odd.pt", tmp_path / "out", tmp_path)
    with pytest.raises(CheckpointError, match=r"odd\.pt: not a checkpoint"):
        publish.publish(options, print)
    checkpoint.save(tmp_path / "unet.pt", Recipe(network="unet", steps=1), "supervised", {"average": {}})
    options = publish.Options(tmp_path / "unet.pt", tmp_path / "out", tmp_path)
    with pytest.raises(RecipeError, match=r"got the network 'unet', wanted unrolled"):
        publish.publish(options, print)

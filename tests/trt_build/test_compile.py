"""`scanside-build compile` builds every graph, says where it is kept, and tells what cannot be built."""

import pytest
from typer.testing import CliRunner

import trt_build.compile
from engines.backends.rtx import ADAPTER
from engines.driver import Gpu, gpu
from engines.engine import job_of
from engines.model import load_model
from engines.plans import Plans
from tests.engines.altering import altered_onnx
from tests.tiny_model import make_model
from trt_build.cli import app


def ran(*words):
    return CliRunner().invoke(app, ["compile", *map(str, words), "--allow-unsigned"], env={"COLUMNS": "200"})


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_processors_load_every_graph(tmp_path, backend):
    done = ran(make_model(tmp_path), "--backend", backend)
    assert done.exit_code == 0
    assert "model: " in done.output
    assert "cascade_0: " in done.output


def test_tensorrt_rtx_builds_every_graph_without_a_gpu(tmp_path):
    pytest.importorskip("tensorrt_rtx_bindings")
    done = ran(make_model(tmp_path), "--backend", "tensorrt_rtx", "--out", tmp_path / "plans")
    assert done.exit_code == 0
    assert len(list((tmp_path / "plans").glob("tiny-*-tensorrt_rtx.plan"))) == 2
    if not isinstance(gpu(), Gpu):
        assert "no GPU here" in done.output


def test_a_plan_whose_images_were_refused_is_not_built_again(tmp_path, monkeypatch):
    library = pytest.importorskip("tensorrt_rtx_bindings")
    plans, folder = Plans(tmp_path / "kept", print), make_model(tmp_path)
    monkeypatch.setattr(trt_build.compile, "user_plans", lambda tell: plans)
    key = ADAPTER.key(library, job_of(load_model(folder, allow_unsigned=True), "model"))
    plans.refuse(key, "0.2 dB off")
    done = ran(folder, "--backend", "tensorrt_rtx", "--out", tmp_path / "plans")
    assert done.exit_code == 1
    assert "tiny/model: refused by scanside-build verify: 0.2 dB off; take another backend" in done.output
    assert not (tmp_path / "plans").exists()
    assert plans.refused(key) == "0.2 dB off"


def test_a_graph_that_cannot_be_built_is_one_line_and_a_failure(tmp_path):
    def unknown(model):
        model.graph.node[0].op_type = "NoSuchOperator"

    done = ran(altered_onnx(make_model(tmp_path), unknown), "--backend", "openvino")
    assert done.exit_code == 1
    assert "openvino cannot load tiny/model" in done.output


def test_an_unknown_backend_is_told_with_the_known_ones(tmp_path):
    done = ran(make_model(tmp_path), "--backend", "fastest")
    assert done.exit_code == 1
    assert "wanted tensorrt, tensorrt_rtx, openvino, onnxruntime" in done.output


def test_a_library_without_its_gpu_is_told(tmp_path):
    if isinstance(gpu(), Gpu):
        pytest.skip("a GPU is here")
    done = ran(make_model(tmp_path), "--backend", "tensorrt")
    assert done.exit_code == 1
    assert "tensorrt" in done.output

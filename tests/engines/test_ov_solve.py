"""Consistent steps in OpenVINO's graphs are ours, all of them, and say what the graph said before."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.backends import ov_solve
from engines.backends.ov_solve import BITS, REACH, own_solves
from engines.engine import EngineError, open_engine
from engines.linear.packed import empty_packed, pack
from engines.model import load_model
from trt_build.vectors import small_problems

openvino = pytest.importorskip("openvino")
MODEL = "brain2d"


@pytest.fixture(scope="module")
def model():
    return load_model(MODEL)


def given(form, strength):
    normal, inverse, scan, noise = small_problems(strength)[form]
    start = np.zeros_like(normal)
    return {"start": start, "normal": normal, "inverse": inverse, "scan": scan, "noise": noise}


def forms(strength):
    return sorted(small_problems(strength))


def run(model, workers, tensors, *, own):
    core = openvino.Core()
    graph = core.read_model(model.onnx("model"))
    if own:
        assert own_solves(graph, "inverse", workers)
        packed = empty_packed(len(tensors["inverse"]), tensors["inverse"].shape[2])
        pack(tensors["inverse"], packed)
        held = {BITS.format("inverse"): packed.numbers.view(np.int32), REACH.format("inverse"): packed.reach}
        tensors = {**{name: value for name, value in tensors.items() if name != "inverse"}, **held}
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    out = compiled({name: value for name, value in tensors.items() if _takes(compiled, name)})
    kinds = [str(node.get_rt_info()["layerType"].value) for node in compiled.get_runtime_model().get_ops()]
    return out, kinds.count("Reference")


def _takes(compiled, name):
    return any(name in port.get_names() for port in compiled.inputs)


def test_a_graph_with_our_steps_gives_the_same_images_to_what_bfloat16_holds(model):
    strength = model.card.strength
    with ThreadPoolExecutor(1) as workers:
        for form in forms(strength):
            tensors = given(form, strength)
            (ours, count), (theirs, none) = (run(model, workers, tensors, own=own) for own in (True, False))
            assert (count > 1, none) == (True, 0)
            off = np.linalg.norm(ours["image"] - theirs["image"]) / np.linalg.norm(theirs["image"])
            assert 1e-6 < off < 5e-3, form


def test_a_graph_without_such_steps_stays_as_it_is(model):
    graph = openvino.Core().read_model(model.onnx("model"))
    before = len(graph.get_ops())
    assert not own_solves(graph, "another input", None)
    assert len(graph.get_ops()) == before


def test_an_error_in_a_step_is_one_of_the_engine_and_the_next_frame_is_drawn(model, monkeypatch):
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16, and takes OpenVINO's own products")
    tensors = given(forms(model.card.strength)[0], model.card.strength)
    with open_engine(model, "openvino") as engine:
        before = engine(tensors)["image"]
        with monkeypatch.context() as patched:
            patched.setattr(ov_solve, "multiply", lambda *_: 1 / 0)
            with pytest.raises(EngineError, match=r"openvino failed in brain2d/model: .*division by zero"):
                engine(tensors)
        np.testing.assert_array_equal(engine(tensors)["image"], before)


def test_threads_take_turns_and_none_waits_for_ever(model):
    asked = [given(form, model.card.strength) for form in forms(model.card.strength)] * 12
    with open_engine(model, "openvino") as engine, ThreadPoolExecutor(4) as threads:
        wanted = [engine(tensors)["image"] for tensors in asked[:2]] * 12
        for got, image in zip(threads.map(engine, asked), wanted, strict=True):
            np.testing.assert_array_equal(got["image"], image)

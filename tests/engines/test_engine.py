"""One interface, several libraries: they agree, they check what they are given, and say why they were not taken."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import engines.engine
from engines.backends import ort, ov
from engines.backends.interface import Job
from engines.engine import BACKENDS, open_engine
from engines.errors import EngineError, ModelError
from engines.model import load_model
from engines.plans import Plans
from engines.selftest import relative_error
from tests.engines.altering import altered_onnx, edit_card
from tests.tiny_model import make_model, network, problem

CPU = ("openvino", "onnxruntime")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(engines.engine, "user_plans", lambda tell: Plans(tmp_path / "plans", tell))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_model(tmp_path_factory.mktemp("models")), allow_unsigned=True)


SIZES = [(16, 8, 16, 1), (24, 32, 24, 1), (64, 16, 4, 1), (64, 16, 4, 3)]


@pytest.mark.parametrize("backend", CPU)
@pytest.mark.parametrize("size", SIZES)
def test_every_backend_computes_what_the_graph_says_for_any_size(model, backend, size):
    with open_engine(model, backend) as engine:
        given = problem(*size)
        got = engine(given)
        for frame in range(size[3]):
            wanted = network(given["start"][frame : frame + 1], given["inverse"], given["scan"])
            assert relative_error(got["image"][frame : frame + 1], wanted["image"]) < 1e-5


@pytest.mark.parametrize("backend", CPU)
def test_answers_are_the_callers_own(model, backend):
    with open_engine(model, backend) as engine:
        first = engine(problem(16, 8, 16))["image"]
        kept = first.copy()
        engine(problem(16, 8, 16, seed=1))
        np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("backend", [*CPU, "reference"])
def test_arrays_that_cannot_be_written_are_taken_as_they_are(model, backend):
    given = problem(16, 8, 16)
    for array in given.values():
        array.flags.writeable = False
    with open_engine(model, backend) as engine:
        got = engine(given)
    if backend != "reference":
        assert relative_error(got["image"], network(**given)["image"]) < 1e-5
    assert not given["inverse"].flags.writeable


@pytest.mark.parametrize("backend", CPU)
def test_threads_may_call_at_once(model, backend):
    given = [problem(*SIZES[n % 3], seed=n) for n in range(24)]
    with open_engine(model, backend) as engine, ThreadPoolExecutor(4) as workers:
        for asked, got in zip(given, workers.map(engine, given), strict=True):
            assert relative_error(got["image"], network(**asked)["image"]) < 1e-5


def test_the_reference_is_the_linear_image_with_a_bound_of_its_noise(model):
    random = np.random.default_rng(0)
    root = random.standard_normal((8, 16, 64)) + 1j * random.standard_normal((8, 16, 64))
    normal_matrices = root @ root.conj().swapaxes(1, 2) / 64
    inverse = np.linalg.inv(normal_matrices + 0.1 * np.eye(16))
    half = np.linalg.cholesky(normal_matrices)
    noise = (random.standard_normal((8, 16, 4000)) + 1j * random.standard_normal((8, 16, 4000))) / np.sqrt(2)
    b = (half @ noise).transpose(2, 1, 0)  # (frame, y, x): noise with covariance N, one column a group
    wanted = (inverse @ (half @ noise)).transpose(2, 1, 0)
    given = {
        "start": np.stack([wanted.real, wanted.imag], 1).astype(np.float32),
        "normal": np.stack([b.real, b.imag], 1).astype(np.float32),
        "inverse": np.concatenate([inverse.real, inverse.imag], 1).astype(np.float32),
        "scan": np.array([0.1**0.5, 1], np.float32),
        "noise": np.ones((16, 8), np.float32),
    }
    with open_engine(model, "reference") as engine:
        got = engine(given)
    np.testing.assert_allclose(got["image"][:, 0] + 1j * got["image"][:, 1], wanted, atol=1e-4)
    under = np.abs(wanted) <= got["error"][:, 0]
    assert 0.89 < under.mean() < 0.96  # a bound from above, and not far above


def test_the_reference_takes_no_graph_but_a_whole_one(model):
    with (
        pytest.raises(
            EngineError, match=r"got inputs rho, normal, scan, hidden, wanted start, normal, inverse, scan and noise"
        ),
        open_engine(model, "reference", graph="cascade_0"),
    ):
        pass


def test_auto_takes_the_first_that_works_and_says_why_not_the_others(model):
    told = []
    with open_engine(model, tell=told.append) as engine:
        assert engine.backend == "openvino"
        assert list(engine.why_not) == ["tensorrt", "tensorrt_rtx"]
        assert engine.self_test < 1e-3
    assert told[-1].startswith("tiny/model runs on openvino")
    assert "not tensorrt: " in told[-1]


def test_auto_passes_a_backend_over_whose_images_were_refused(model, monkeypatch):
    for precision in ("single", "bf16"):
        key = {"model": "tiny", "graph": "model", "hash": model.hash, "backend": "openvino", "options": precision}
        release = __import__("openvino").__version__.partition("-")[0]
        engines.engine.user_plans(print).refuse({**key, "version": release}, "other images")
    with open_engine(model) as engine:
        assert engine.backend == "onnxruntime"
        assert "other images" in engine.why_not["openvino"]


@pytest.mark.parametrize("backend", [*CPU, "reference"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("inverse"), "wanted start, normal, inverse, scan, noise"),
        (lambda t: t.pop("scan"), "wanted start, normal, inverse, scan, noise"),
        (lambda t: t.update(extra=t["normal"]), "extra"),
        (lambda t: t.update(normal=t["normal"].astype(np.float64)), "float64"),
        (lambda t: t.update(normal=t["normal"][:, :1]), "wanted float32 (frame, 2, y, x)"),
        (
            lambda t: t.update(
                {name: t[name][..., :4] for name in ("start", "normal", "noise")}, inverse=t["inverse"][:4]
            ),
            "multiples of 8",
        ),
        (lambda t: t.update(inverse=t["inverse"][:, :-1]), "2*alias"),
        (lambda t: t.update(inverse=t["inverse"][:-1]), "every pixel in one group"),
        (lambda t: t.update(scan=t["scan"][:1]), "wanted float32 (2)"),
        (lambda t: t.update(noise=t["noise"][0]), "wanted float32 (y, x)"),
    ],
)
def test_what_does_not_fit_is_told_before_a_library_sees_it(model, backend, change, told):
    given = problem(16, 8, 16)
    change(given)
    with open_engine(model, backend) as engine, pytest.raises(EngineError) as caught:
        engine(given)
    assert told in str(caught.value)


@pytest.mark.parametrize("backend", CPU)
def test_no_library_calls_home(model, backend, monkeypatch):
    called = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: called.append(address))
    with open_engine(model, backend) as engine:
        engine(problem(16, 8, 16))
    assert called == []


def test_an_engine_works_again_after_an_error(model):
    with open_engine(model) as engine:
        with pytest.raises(EngineError):
            engine({"normal": np.zeros((1, 2, 16, 8), np.float32)})
        assert np.isfinite(engine(problem(16, 8, 16))["image"]).all()


@pytest.mark.parametrize("backend", CPU)
def test_a_model_that_computes_something_else_than_its_vectors_fails_the_self_test(tmp_path, backend):
    model = load_model(make_model(tmp_path, flaw="self-test"), allow_unsigned=True)
    with pytest.raises(EngineError, match=r"self-test: .*relative error"), open_engine(model, backend):
        pass


@pytest.mark.parametrize("backend", CPU)
def test_a_graph_that_no_library_can_load_is_one_clear_error(tmp_path, backend):
    def broken(model):
        model.graph.node[0].op_type = "NoSuchOperator"

    model = load_model(altered_onnx(make_model(tmp_path), broken), allow_unsigned=True)
    with pytest.raises(EngineError, match=f"{backend} cannot load tiny/model"), open_engine(model, backend):
        pass


def test_an_unknown_backend_or_graph_is_told_with_the_known_ones(model):
    with pytest.raises(EngineError, match="wanted auto, tensorrt"), open_engine(model, "fastest"):
        pass
    with pytest.raises(ModelError, match="its card has model, cascade_0"), open_engine(model, graph="other"):
        pass


def test_nothing_is_opened_before_with(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it now fails
    lent = open_engine(model, "onnxruntime")
    with pytest.raises(EngineError, match="onnxruntime"), lent:
        pass


def test_a_library_that_is_broken_is_passed_over(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with open_engine(model) as engine:
        assert engine.backend == "onnxruntime"
        assert "openvino" in engine.why_not["openvino"]


def test_a_library_that_breaks_while_it_is_imported_is_passed_over(model, monkeypatch, tmp_path):
    (tmp_path / "openvino.py").write_text("raise RuntimeError('no kernels for this processor')")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with open_engine(model) as engine:
        assert engine.backend == "onnxruntime"
        assert engine.why_not["openvino"] == "RuntimeError: no kernels for this processor"


def test_gpu_backends_without_a_gpu_say_so_and_crash_nothing(model):
    for backend in ("tensorrt", "tensorrt_rtx"):
        if engines.engine.import_module(BACKENDS[backend]).missing() is None:
            pytest.skip("a GPU is here")
        with pytest.raises(EngineError, match=r"not installed|no GPU|pycuda"), open_engine(model, backend):
            pass


def test_half_precision_is_taken_only_where_the_card_allows_it(tmp_path):
    with open_engine(halved(tmp_path), "openvino") as engine:
        assert engine.precision == ("bf16" if capable() else "single")


def halved(folder):
    """A model that may be computed in bfloat16."""
    made = edit_card(make_model(folder), "opset = 18\n", 'opset = 18\nprecisions = ["single", "bf16"]\n')
    return load_model(made, allow_unsigned=True)


def capable():
    return "BF16" in __import__("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.skipif(not capable(), reason="this processor has no bfloat16")
def test_inverses_of_several_slices_are_packed_once_each_and_ahead_where_they_can_be(monkeypatch):
    packed, real = [], ov.pack

    def noting(inverse, made, part=slice(None)):
        packed.append(len(inverse[part]))
        real(inverse, made, part)

    monkeypatch.setattr(ov, "pack", noting)
    first, second = problem(32, 24, 32), problem(32, 24, 32, seed=1)
    with open_engine(load_model("brain2d"), "openvino") as engine:
        wanted = [engine(given)["image"] for given in (first, second)]  # arrays that may be written, packed each time
        packed.clear()
        see = engine.ahead(first["inverse"])
        see(slice(0, 3))
        see(slice(3, 24))
        assert packed == [3, 21]
        for given in (first, second):
            given["inverse"].flags.writeable = False
        for _ in range(2):
            for given, image in zip((first, second), wanted, strict=True):
                np.testing.assert_array_equal(engine(given)["image"], image)
    assert packed == [3, 21, 24]


@pytest.mark.parametrize("backend", [ort, ov])
def test_what_fails_inside_a_library_is_an_engine_error(model, backend):
    job = Job("tiny/model", model.read("model.onnx"), model.graph("model"), model.hash)
    given = {**problem(16, 8, 16), "inverse": np.zeros((3, 5, 7), np.float32)}
    with backend.open_graph(job) as opened, pytest.raises(EngineError, match="failed in tiny/model"):
        opened.infer(given)

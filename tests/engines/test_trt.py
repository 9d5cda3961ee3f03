"""TensorRT without a GPU: what builds, what is said, and that a session keeps its books right."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engines.backends import cuda, rtx, trt, trt_adapter
from engines.backends.interface import Job
from engines.backends.trt_plan import build_plan
from engines.backends.trt_session import Session
from engines.driver import Gpu, gpu
from engines.engine import job_of
from engines.errors import EngineError
from engines.model import load_model, shipped
from engines.plans import Plans
from tests.engines.altering import altered_onnx
from tests.tiny_model import make_model

LIBRARY = rtx.ADAPTER


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(make_model(tmp_path_factory.mktemp("models")), allow_unsigned=True)


@pytest.fixture(scope="module")
def tensorrt():
    for name in LIBRARY.modules:
        library = pytest.importorskip(name) if name == LIBRARY.modules[-1] else None
    return library


def models():
    return [pytest.param(path, id=name) for name, path in shipped().items()]


@pytest.mark.parametrize("path", models())
def test_tensorrt_rtx_builds_every_graph_of_every_shipped_model(tensorrt, path):
    model = load_model(path, allow_unsigned=True)
    for graph in model.card.graphs:
        assert len(build_plan(tensorrt, model.onnx(graph), model.graph(graph), "single")) > 1000


def test_a_graph_is_built_with_progress(tensorrt, model):
    told = []
    plan = build_plan(
        tensorrt, model.read("model.onnx"), model.graph("model"), "single", lambda *step: told.append(step)
    )
    assert len(plan) > 1000
    assert all(0 <= done <= total for _, done, total in told)
    assert told


def test_an_operator_that_tensorrt_does_not_know_is_told(tensorrt, tmp_path):
    def unknown(graph):
        graph.graph.node[0].op_type = "NoSuchOperator"

    model = load_model(altered_onnx(make_model(tmp_path), unknown), allow_unsigned=True)
    with pytest.raises(EngineError, match="NoSuchOperator"):
        build_plan(tensorrt, model.read("model.onnx"), model.graph("model"), "single")


def test_a_plan_is_built_once_and_then_read(tensorrt, model, tmp_path):
    told = []
    job = job_of(model, "cascade_0")
    job = Job(job.name, job.onnx, job.graph, job.hash, plans=Plans(tmp_path, told.append), tell=told.append)
    first = LIBRARY.plan(tensorrt, job)
    assert LIBRARY.plan(tensorrt, job) == first
    assert told == ["tensorrt_rtx: building the plan of tiny/cascade_0"]


def test_a_refused_plan_is_not_built(tensorrt, model, tmp_path):
    job = job_of(model, "cascade_0")
    plans = Plans(tmp_path, print)
    job = Job(job.name, job.onnx, job.graph, job.hash, plans=plans)
    plans.refuse(LIBRARY.key(tensorrt, job), "0.2 dB off")
    with pytest.raises(EngineError, match=r"refused by scanside-build verify: 0.2 dB off"):
        LIBRARY.plan(tensorrt, job)


@pytest.mark.parametrize("adapter", [rtx.ADAPTER, trt.ADAPTER])
def test_without_a_gpu_no_tensorrt_object_is_made(adapter, model):
    if isinstance(gpu(), Gpu):
        pytest.skip("a GPU is here")
    assert adapter.missing()
    with pytest.raises(EngineError), adapter.open_graph(job_of(model, "model")):
        pass


def test_a_library_that_breaks_while_it_is_imported_is_an_engine_error(tmp_path, monkeypatch):
    for error in ("ImportError", "OSError", "RuntimeError", "TypeError"):
        (tmp_path / "broken_trt.py").write_text(f"raise {error}('factory function returned nullptr')")
        monkeypatch.syspath_prepend(str(tmp_path))
        adapter = type(trt.ADAPTER)("tensorrt", ("broken_trt",), builds_anywhere=False, how="pip")
        with pytest.raises(EngineError, match="nullptr"):
            adapter.load()


def test_without_a_driver_opening_the_gpu_is_an_engine_error():
    if isinstance(gpu(), Gpu) or cuda.layer() is None:
        pytest.skip("a GPU is here, or no layer for it")
    with pytest.raises(EngineError, match="cannot open the GPU"):
        cuda.open_cuda()


class Memory:
    """cuda.Cuda on plain memory: addresses are keys."""

    name, stream = "memory", 7

    def __init__(self, graphs=True):
        self.graphs, self.held, self.next, self.inside, self.uploads, self.replays = graphs, {}, 1, False, 0, 0

    @contextmanager
    def current(self):
        self.inside = True
        yield
        self.inside = False

    def allocate(self, size):
        self.next += 1
        self.held[self.next] = bytearray(size)
        return self.next

    def free(self, address):
        del self.held[address]

    def pinned(self, shape, dtype):
        return np.empty(shape, dtype)

    def upload(self, address, source):
        assert self.inside
        self.uploads += 1
        self.held[address][: source.nbytes] = source.tobytes()

    def download(self, target, address):
        target[...] = np.frombuffer(bytes(self.held[address][: target.nbytes]), target.dtype).reshape(target.shape)

    def synchronise(self):
        assert self.inside

    def capture(self, launch):
        if self.graphs == "broken":
            raise EngineError("CUDA: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900)")

        def replay():
            self.replays += 1
            launch()

        return replay if self.graphs else None

    def close(self):
        assert not self.held


class Plan:
    """As a TensorRT engine with one profile: image = 2 normal, error = its first plane."""

    num_optimization_profiles = 1

    def __init__(self, memory):
        self.memory, self.shapes, self.addresses = memory, {}, {}

    def create_execution_context(self):
        return self

    def set_optimization_profile_async(self, profile, stream):
        return stream == self.memory.stream

    def get_tensor_profile_shape(self, name, profile):
        most = dict.fromkeys(("start", "normal"), (4, 2, 64, 64)) | {"inverse": (512, 128, 64), "noise": (64, 64)}
        least = dict.fromkeys(("start", "normal"), (1, 2, 8, 8)) | {"inverse": (1, 2, 1), "noise": (8, 8)}
        return ((2,),) * 3 if name == "scan" else (least[name], least[name], most[name])

    def set_input_shape(self, name, shape):
        self.shapes[name] = shape
        return True

    def infer_shapes(self):
        return []

    def get_tensor_shape(self, name):
        frame, _, y, x = self.shapes["normal"]
        return (frame, 2, y, x) if name == "image" else (frame, 1, y, x)

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        held, shape = self.memory.held, self.shapes["normal"]
        normal = np.frombuffer(bytes(held[self.addresses["normal"]][: 4 * int(np.prod(shape))]), np.float32)
        image = 2 * normal.reshape(shape)
        for name, value in (("image", image), ("error", np.ascontiguousarray(image[:, :1]))):
            held[self.addresses[name]][: value.nbytes] = value.tobytes()
        return True


def given(y, x, seed=0):
    random = np.random.default_rng(seed)
    return {
        "start": random.standard_normal((1, 2, y, x), np.float32),
        "normal": random.standard_normal((1, 2, y, x), np.float32),
        "inverse": random.standard_normal((x, 2 * y, y), np.float32),
        "scan": random.random(2, np.float32),
        "noise": random.random((y, x), np.float32),
    }


@pytest.fixture
def told():
    return []


def session(model, told, graphs=True, replay=True):
    memory = Memory(graphs)
    job = job_of(model, "model")
    job = Job(job.name, job.onnx, job.graph, job.hash, replay=replay, tell=told.append)
    return Session(Plan(memory), memory, job), memory


@pytest.mark.parametrize("graphs", [True, False, "broken"])
def test_a_session_answers_for_every_shape_it_is_given(model, told, graphs):
    running, memory = session(model, told, graphs)
    for n, (y, x) in enumerate([(16, 8), (16, 8), (32, 16), (8, 8), (32, 16)]):
        asked = given(y, x, n)
        got = running.infer(asked)
        np.testing.assert_array_equal(got["image"], 2 * asked["normal"])
        np.testing.assert_array_equal(got["error"], 2 * asked["normal"][:, :1])
    assert memory.replays == (5 if graphs is True else 0)
    assert bool(told) == (graphs == "broken")
    running.close()
    memory.close()


def test_an_array_that_cannot_change_is_uploaded_once(model, told):
    running, memory = session(model, told)
    asked = given(16, 8)
    asked["inverse"].flags.writeable = False
    running.infer(asked)
    before = memory.uploads
    running.infer(asked)
    assert memory.uploads == before + 4
    running.infer({**asked, "inverse": asked["inverse"].copy()})
    assert memory.uploads == before + 9
    running.infer(asked)
    assert memory.uploads == before + 14


def test_answers_of_a_session_are_the_callers_own(model, told):
    running, _ = session(model, told)
    first = running.infer(given(16, 8))["image"]
    kept = first.copy()
    running.infer(given(16, 8, 1))
    np.testing.assert_array_equal(first, kept)


def test_shapes_beyond_every_profile_are_told_and_the_session_lives_on(model, told):
    running, _ = session(model, told)
    with pytest.raises(EngineError, match="beyond every profile"):
        running.infer(given(72, 8))
    asked = given(16, 8)
    np.testing.assert_array_equal(running.infer(asked)["image"], 2 * asked["normal"])


def library(memory, takes):
    """As the module `tensorrt`: `takes` says which plans it deserialises."""

    class Logger:
        Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0)

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, plan):
            if takes(plan):
                return Plan(memory)
            self.logger.log(1, "magic tag does not match")
            return None

    return SimpleNamespace(
        __version__="11.4", __name__="tensorrt", ILogger=Logger, Runtime=Runtime, BuilderFlag=SimpleNamespace()
    )


@pytest.fixture
def machine(monkeypatch):
    """A GPU of plain memory, with TensorRT."""

    def made(takes):
        memory, built = Memory(), iter([b"first", b"second", b"third"])
        monkeypatch.setattr(trt_adapter, "gpu", lambda: Gpu("H200", "9.0", "13.0", 1))
        monkeypatch.setattr(trt_adapter, "open_cuda", lambda: memory)
        monkeypatch.setattr(trt_adapter, "build_plan", lambda *_: next(built))
        monkeypatch.setattr(trt_adapter.Adapter, "load", lambda _: library(memory, takes))
        return memory

    return made


def test_a_plan_runs_and_everything_is_released(machine, model, told):
    memory = machine(takes=lambda plan: True)
    asked = given(16, 8)
    with trt.ADAPTER.open_graph(replace(job_of(model, "model"), tell=told.append)) as opened:
        assert (opened.version, opened.precision) == ("11.4", "single")
        assert opened.key["gpu"] == "H200 (9.0)"
        np.testing.assert_array_equal(opened.infer(asked)["image"], 2 * asked["normal"])
    assert not memory.held


def test_a_kept_plan_that_is_not_taken_is_built_again_once(machine, model, told, tmp_path):
    memory = machine(takes=lambda plan: plan == b"second")
    job = replace(job_of(model, "model"), plans=Plans(tmp_path / "plans", told.append), tell=told.append)
    with trt.ADAPTER.open_graph(job) as opened:
        opened.infer(given(16, 8))
    assert any("magic tag does not match" in line for line in told)
    assert not memory.held


@pytest.mark.parametrize("kept", ["nowhere", "in a folder that cannot be written"])
def test_a_plan_that_cannot_be_kept_is_built_once_and_run(machine, model, told, tmp_path, kept):
    machine(takes=lambda plan: plan == b"first")
    (tmp_path / "plans").write_text("a file where the folder should be")
    plans = None if kept == "nowhere" else Plans(tmp_path / "plans", told.append)
    job = replace(job_of(model, "model"), plans=plans, tell=told.append)
    with trt.ADAPTER.open_graph(job) as opened:
        opened.infer(given(16, 8))
    assert [line for line in told if "building" in line] == ["tensorrt: building the plan of tiny/model"]
    assert sum("plans cannot be kept" in line for line in told) == (kept != "nowhere")


def test_a_plan_that_is_never_taken_is_an_engine_error(machine, model, told, tmp_path):
    memory = machine(takes=lambda plan: False)
    job = replace(job_of(model, "model"), plans=Plans(tmp_path / "plans", told.append), tell=told.append)
    with pytest.raises(EngineError, match="does not take the plan of tiny/model here: magic tag"):
        trt.ADAPTER.open_graph(job).__enter__()
    assert not memory.held

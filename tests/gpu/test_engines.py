"""What only a GPU can tell: plans run, agree with ONNX Runtime, and how long they take with and without CUDA graphs.

`make test-gpu`; every test says why where a library or the GPU is missing.
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from engines.backends import cuda, rtx, trt
from engines.driver import Gpu, gpu
from engines.engine import job_of, open_engine
from engines.model import load_model, shipped
from engines.plans import Plans
from engines.selftest import relative_error, self_test
from tests.tiny_model import make_model, network, problem

pytestmark = pytest.mark.gpu
ADAPTERS = [pytest.param(adapter, id=adapter.name) for adapter in (trt.ADAPTER, rtx.ADAPTER)]
LAYERS = [pytest.param(name, id=name) for name in cuda.LAYERS]


@pytest.fixture(autouse=True)
def here():
    if not isinstance(gpu(), Gpu):
        pytest.skip(f"no GPU: driver {gpu()}")


def usable(adapter):
    reason = adapter.missing()
    if reason is not None:
        pytest.skip(f"{adapter.name}: {reason}")
    return adapter


def models(tmp_path):
    return [load_model(make_model(tmp_path), allow_unsigned=True)] + [
        load_model(path, allow_unsigned=True) for path in shipped().values()
    ]


@pytest.mark.parametrize("name", LAYERS)
def test_what_goes_to_the_gpu_comes_back(name):
    try:
        device = cuda.open_cuda(name)
    except cuda.EngineError as error:
        pytest.skip(str(error))
    try:
        with device.current():
            sent = device.pinned((1000, 7), np.dtype(np.float32))
            sent[:] = np.random.default_rng(0).standard_normal(sent.shape)
            back = device.pinned(sent.shape, sent.dtype)
            address = device.allocate(sent.nbytes)
            first = device.mark()
            device.upload(address, sent)
            device.download(back, address)
            second = device.mark()
            device.synchronise()
            np.testing.assert_array_equal(back, sent)
            assert device.between_ms(first, second) > 0
            device.free(address)
    finally:
        device.close()


@pytest.mark.parametrize("name", LAYERS)
def test_a_recorded_copy_can_be_replayed(name):
    try:
        device = cuda.open_cuda(name)
    except cuda.EngineError as error:
        pytest.skip(str(error))
    try:
        with device.current():
            sent, back = (device.pinned((64,), np.dtype(np.float32)) for _ in range(2))
            address = device.allocate(sent.nbytes)

            def copy():
                device.upload(address, sent)
                device.download(back, address)

            sent[:] = 1
            copy()
            device.synchronise()
            replay = device.capture(copy)
            if replay is None:
                pytest.skip(f"{name} has no graphs without cuda-python")
            sent[:] = 2
            replay()
            device.synchronise()
            assert (back == 2).all()
            device.free(address)
    finally:
        device.close()


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("replay", [True, False])
def test_plans_pass_the_self_test(adapter, replay, tmp_path):
    for model in models(tmp_path):
        for graph in model.card.graphs:
            job = replace(job_of(model, graph), replay=replay, plans=Plans(tmp_path / "plans", print))
            with usable(adapter).open_graph(job) as opened:
                print(adapter.name, opened.version, job.name, self_test(opened.infer, model, graph, opened.precision))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_plans_take_any_size_in_any_order(adapter, tmp_path):
    model = load_model(make_model(tmp_path), allow_unsigned=True)
    with usable(adapter).open_graph(job_of(model, "model")) as opened:
        for n, size in enumerate([(16, 8, 16), (200, 160, 200), (256, 256, 4), (16, 8, 16), (64, 16, 4, 3)]):
            given = problem(*size, seed=n)
            wanted = network(given["start"][:1], given["inverse"], given["scan"])["image"]
            assert relative_error(opened.infer(given)["image"][:1], wanted) < 1e-3


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_threads_may_call_at_once(adapter, tmp_path):
    model = load_model(make_model(tmp_path), allow_unsigned=True)
    given = [problem(16, 8 * (1 + n % 3), 16, seed=n) for n in range(12)]
    with usable(adapter).open_graph(job_of(model, "model")) as opened, ThreadPoolExecutor(3) as workers:
        for asked, got in zip(given, workers.map(opened.infer, given), strict=True):
            assert relative_error(got["image"], network(**asked)["image"]) < 1e-3


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_kept_plan_loads_and_a_foreign_one_is_built_again(adapter, tmp_path):
    model, told = load_model(make_model(tmp_path), allow_unsigned=True), []
    plans = Plans(tmp_path / "plans", told.append)
    job = replace(job_of(model, "model"), plans=plans, tell=told.append)
    for _ in range(2):
        with usable(adapter).open_graph(job) as opened:
            opened.infer(problem(16, 8, 16))
    assert sum("building the plan" in line for line in told) == 1
    plan = next((tmp_path / "plans").glob("*.plan"))
    plan.write_bytes(plan.read_bytes()[::-1])
    with adapter.open_graph(job) as opened:
        opened.infer(problem(16, 8, 16))
    assert sum("building the plan" in line for line in told) == 2


def test_auto_takes_the_gpu(tmp_path):
    if all(adapter.missing() for adapter in (trt.ADAPTER, rtx.ADAPTER)):
        pytest.skip("; ".join(f"{adapter.name}: {adapter.missing()}" for adapter in (trt.ADAPTER, rtx.ADAPTER)))
    with open_engine(load_model(make_model(tmp_path), allow_unsigned=True), tell=print) as engine:
        assert engine.backend.startswith("tensorrt"), engine.why_not


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("size", [(200, 160, 200), (256, 256, 4)], ids=["dense", "blocks"])
def test_latency_is_printed(adapter, size, tmp_path, capsys):
    given = problem(*size)
    given["inverse"].flags.writeable = False
    for model in (model for model in models(tmp_path) if model.card.task == "unrolled"):
        for replay in (False, True):
            with usable(adapter).open_graph(replace(job_of(model, "model"), replay=replay)) as opened:
                taken = [_ms(opened.infer, given) for _ in range(60)][10:]
            with capsys.disabled():
                print(
                    f"\n{adapter.name} {opened.version}, {model.card.name}, {size[0]} x {size[1]}, alias {size[2]}, "
                    f"CUDA graph {'on' if replay else 'off'}: median {statistics.median(taken):.2f} ms, "
                    f"worst of 50 {max(taken):.2f} ms"
                )


def _ms(infer, given):
    started = time.perf_counter()
    infer(given)
    return 1000 * (time.perf_counter() - started)

"""From a scout to its prescriptions: the time, measured here, and the errors that the published report found.

`position_ms` is of a scout in memory, `position_besides_networks_ms` without the time that the networks take, which a
GPU would make short, `position_latency_ms` from the last readout of a 3-D scout handed to the socket,
sent at its own pace, until all prescriptions are at the console.
A report of another model than the shipped one gives no errors: `scanside-build positions` writes it again.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from engines.engine import open_engine
from engines.memory import keep_memory
from engines.model import load_model
from engines.positioning.find import find
from engines.positioning.prescribe import prescribe
from engines.positioning.scout import Scout
from engines.positioning.template import template_of
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.head import mni_head
from hw_sim.paperwork import Order
from hw_sim.scanner import Scanner
from protocols.anatomy import find_anatomy
from protocols.encode import encode
from protocols.header import write_header
from protocols.messages import Config, Header
from tests.benchmarks.client import connected
from tests.benchmarks.network import wait_for_engine
from tests.benchmarks.plugin import plugin

REPORT = Path(__file__).parents[2] / "trt_build" / "landmarks" / "published" / "report.json"
MODEL = "head_landmarks"
GOAL_MS = 1000.0  # on two processors
GPU_GOAL_MS = 150.0  # with a GPU, networks and all: what is left of it for them
TIMES = 12
SCOUT, SCOUTS, COILS = "scout_3d", 3, 16


def run():
    """Median ms from a 3-D scout in memory to all prescriptions, and the keys of the report."""
    model = load_model(MODEL)
    whole, besides = ms(model)
    return {
        "position_ms": against(GOAL_MS, whole),
        "position_besides_networks_ms": against(GPU_GOAL_MS, besides),
        "position_latency_ms": against(GOAL_MS, latency()),
    } | published(model)


def published(model):
    try:
        report = json.loads(REPORT.read_text())
    except OSError as error:
        print(f"positioning: no report: {error}", file=sys.stderr)
        return {}
    if report["about"]["hash"] != model.hash:
        print("positioning: the report is of another model; scanside-build positions --out …", file=sys.stderr)
        return {}
    return report["figures"]


def ms(model):
    """Median ms of the whole, and of all but the networks."""
    body, taken, networks = find_anatomy("head"), [], []
    keep_memory()  # and threads as the plugin has them
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        helpers = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        engines = [stack.enter_context(open_engine(model, graph=graph)) for graph in ("model", "near")]
        for number in range(TIMES + 2):
            scout, spent = drawn(number), []
            began = time.perf_counter()
            found = find(scout, template_of(model), *(partial(timed, spent, engine) for engine in engines), helpers)
            for plan in body.plans:
                prescribe(body, plan, found, scout.time_s)
            taken.append((time.perf_counter() - began) * 1e3)
            networks.append(sum(spent))
    return float(np.median(taken[2:])), float(np.median(np.subtract(taken, networks)[2:]))


def timed(spent, engine, tensors):
    began = time.perf_counter()
    made = engine(tensors)
    spent.append((time.perf_counter() - began) * 1e3)
    return made


def against(goal, value):
    return {"value": value, "unit": "ms", "peer": "goal", "peer_value": goal, "ratio": goal / value}


def latency():
    """Median ms from the last readout to the last prescription, of scouts of a plugin whose networks are open."""
    _, simulate = sequence_of(SCOUT)
    played = Scanner(mni_head(), head_array(COILS)).prepare(simulate, Order(SCOUT))
    opening = b"".join((*encode(Config(SCOUT, is_name=True)), *encode(Header(write_header(played.scan)))))
    batches = [(b"".join(encode(batch)), len(batch.headers)) for batch in played.readouts()]
    with plugin() as ready:
        wait_for_engine(ready)
        taken = [once(ready["port"], opening, batches, simulate.tr_ms / 1e3) for _ in range(SCOUTS + 1)]
    return float(np.median(taken[1:]))


def once(port, opening, batches, tr_s):
    with connected(port) as client:
        client.send(opening)
        due = time.perf_counter()
        for data, count in batches:
            size = len(data) // count
            for begin in range(0, len(data), size):
                due += tr_s
                time.sleep(max(0.0, due - time.perf_counter()))
                sent_ns = time.perf_counter_ns()
                client.send(data[begin : begin + size])
        client.finish()
    if client.prescribed_ns is None:
        raise RuntimeError(f"no prescription came; {client.texts[-3:]}")
    return (client.prescribed_ns - sent_ns) / 1e6


def drawn(number):
    """The simulator's head as a 3-D scout shows it, in noise."""
    size, voxel_mm = (64, 64, 56), 4.5
    affine = np.diag((voxel_mm, voxel_mm, voxel_mm, 1.0))
    affine[:3, 3] = -voxel_mm * np.array(size[::-1]) / 2
    places = np.indices(size)[::-1].reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    pixels = mni_head().image(places, lambda tissue: tissue.proton_density * 1000 / tissue.t1_ms).reshape(size)
    noisy = pixels + 0.05 * np.random.default_rng(number).standard_normal(size)
    return Scout(np.abs(noisy).astype(np.float32), affine, None, "HFS", (0.0, 0.0, 0.0), "scout", time.time())

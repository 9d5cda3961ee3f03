"""From a scout to its prescriptions: the time, measured here, and the errors that the published report found.

A report of another model than the shipped one gives no errors: `scanside-build positions` writes it again.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from engines.engine import open_engine
from engines.model import load_model
from engines.positioning.find import find
from engines.positioning.prescribe import prescribe
from engines.positioning.scout import Scout
from engines.positioning.template import template_of
from protocols.anatomy import find_anatomy

REPORT = Path(__file__).parents[2] / "trt_build" / "landmarks" / "published" / "report.json"
MODEL = "head_landmarks"
GOAL_MS = 1000.0  # on two processors
TIMES = 12


def run():
    """Median ms from a 3-D scout in memory to all prescriptions, and the keys of the report."""
    model = load_model(MODEL)
    return {"position_ms": ms(model)} | published(model)


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
    body = find_anatomy("head")
    taken = []
    with ExitStack() as stack:
        helpers = stack.enter_context(ThreadPoolExecutor(1))  # as the plugin has them
        engines = [stack.enter_context(open_engine(model, graph=graph)) for graph in ("model", "near")]
        for number in range(TIMES + 2):
            scout = drawn(number)
            began = time.perf_counter()
            found = find(scout, template_of(model), *engines, helpers)
            for plan in body.plans:
                prescribe(body, plan, found, scout.time_s)
            taken.append((time.perf_counter() - began) * 1e3)
    value = float(np.median(taken[2:]))
    return {"value": value, "unit": "ms", "peer": "goal", "peer_value": GOAL_MS, "ratio": GOAL_MS / value}


def drawn(number):
    """The simulator's head as a 3-D scout shows it, in noise."""
    from hw_sim.head import mni_head

    size, voxel_mm = (64, 64, 56), 4.5
    affine = np.diag((voxel_mm, voxel_mm, voxel_mm, 1.0))
    affine[:3, 3] = -voxel_mm * np.array(size[::-1]) / 2
    places = np.indices(size)[::-1].reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    pixels = mni_head().image(places, lambda tissue: tissue.proton_density * 1000 / tissue.t1_ms).reshape(size)
    noisy = pixels + 0.05 * np.random.default_rng(number).standard_normal(size)
    return Scout(np.abs(noisy).astype(np.float32), affine, None, "HFS", (0.0, 0.0, 0.0), "scout", time.time())

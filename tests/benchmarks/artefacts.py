"""What the shipped network finds in simulated images of the test subjects, and what an image costs.

Motion is any of 2 mm or 2 degrees, also where it changed the image by nothing that could be seen. The scans are those
of the model's card: chance alone gives probabilities that hold a calibration error of 0.018 there, of 0.033 in 150.
"""

import time
from pathlib import Path

import numpy as np

from engines.artefacts.findings import findings
from engines.artefacts.names import ARTEFACTS
from engines.artefacts.planes import planes_of
from engines.engine import open_engine
from engines.model import load_model
from protocols.scan_protocol import find
from tests.benchmarks.latency import say
from trt_build.artefacts.collection import collect
from trt_build.artefacts.command import SEEDS
from trt_build.artefacts.examples import planes
from trt_build.artefacts.figures import auroc, calibration_error, interval

PROTOCOL = "brain_gre_r4"
HEADS = Path("../shared/data/heads")
SCANS = 448
GOALS = {"motion_auroc": (auroc, 0.95), "motion_ece": (calibration_error, 0.03)}
TIMES = 30


def run() -> dict[str, dict[str, object]]:
    """AUROC and calibration error of motion with 95 % confidence intervals (bootstrap over scans), ms an image."""
    protocol = find(PROTOCOL)
    with open_engine(load_model(protocol.engines.models["artefacts"])) as engine:
        figures = {"artefact_slice_ms": slice_ms(engine)}
        if not HEADS.is_dir():
            say(f"artefacts: no heads in {HEADS}, nothing else measured")
            return figures
        truth = collect(HEADS, "test", SCANS, SEEDS["test"])
        say(f"artefacts: {len(truth)} images of {SCANS} scans, {engine.backend} {engine.version}, {engine.precision}")
        found = probabilities(engine, truth)
    scans = np.unique(truth.together("snr"), return_inverse=True)[1]
    moved = truth.together("present")[:, ARTEFACTS.index("motion")]
    for name, (figure, goal) in GOALS.items():
        value = figure(found[:, 0], moved)
        low, high = interval(figure, found[:, 0], moved, scans)
        ratio = value / goal if name == "motion_auroc" else goal / max(value, 1e-9)
        figures[name] = {"value": value, "unit": "1", "low": low, "high": high} | against(goal, ratio)
    return figures | {"artefact_false": false_flags(found, truth, protocol)}


def against(goal, ratio):
    return {"peer": "goal", "peer_value": goal, "ratio": ratio}


def probabilities(engine, truth):
    """Of each artefact in each image (image, artefact)."""
    answers = [engine(planes(pixels)) for rows in truth.shapes.values() for pixels in rows["pixels"]]
    return np.concatenate([answer["probability"] for answer in answers])


def false_flags(found, truth, protocol):
    """Share of clean images with any flag by the limits of the scan protocol."""
    clean = found[~truth.together("present").any(1)]
    limits = np.array([protocol.limits[f"artefact_{name}"].value for name in ARTEFACTS])
    return {"value": float((clean > limits).any(1).mean()), "unit": "1", "images": len(clean)}


def slice_ms(engine):
    """Median ms of planes and network for an image of 256 x 256."""
    pixels = np.random.default_rng(0).standard_normal((256, 256, 2), np.float32).view(np.complex64)[..., 0]
    taken = []
    for _ in range(TIMES + 3):
        began = time.perf_counter()
        findings(engine(planes_of(pixels)), pixels.shape)
        taken.append((time.perf_counter() - began) * 1e3)
    value = float(np.median(taken[3:]))
    return {"value": value, "unit": "ms"} | against(15.0, 15.0 / value)

"""Last readout handed to the socket to image received: live and exact, paced at TR; peers on the same data."""

import sys
import time

import numpy as np

from tests.benchmarks.client import connected
from tests.benchmarks.peers import peers, with_sigpy
from tests.benchmarks.plugin import plugin
from tests.benchmarks.quality import fitted, nrmse, quality
from tests.benchmarks.scene import VARIETY, make_problem, make_scene, octets

TR_MS = 5.0
LIVE_FRAMES = 200
EXACT_FRAMES = 200
STEADY = 8 * VARIETY  # a frame with the data of the first one, long after the dense inverse is ready
CONVERGED = 200  # iterations of CG
LIMITS_MS = {"live": (3.0, 8.0), "exact": (12.0, 25.0)}


def run() -> dict[str, dict[str, object]]:
    """16 coils, 256 x 256, R = 4, readouts of 512 samples as a scanner sends them, one every 5 ms."""
    live = measure("live", make_scene("brain_live_r4", LIVE_FRAMES, tr_ms=TR_MS), LIVE_FRAMES)
    exact = measure("exact", make_scene("brain_gre_r4", EXACT_FRAMES, tr_ms=TR_MS), EXACT_FRAMES)
    return live | exact


def measure(mode, scene, frames):
    """All figures of one mode."""
    say(f"{mode}: {frames} frames of {scene.frames.shape[1]} lines, TR {TR_MS} ms")
    taken_ms, images = play(scene, frames)
    problem = make_problem(scene)
    found = peers(problem)
    fastest = min(found, key=lambda peer: peer.ms)
    p50, p99 = (float(np.percentile(taken_ms, percent)) for percent in (50, 99))
    figures = {
        f"latency_{mode}_p50_ms": against_limit(p50, LIMITS_MS[mode][0]),
        f"latency_{mode}_p99_ms": against_limit(p99, LIMITS_MS[mode][1]),
        f"latency_{mode}_max_ms": {"value": float(taken_ms.max()), "unit": "ms"},
        f"latency_{mode}_first_ms": {"value": float(taken_ms[0]), "unit": "ms"},
        f"speedup_{mode}": {"value": fastest.ms / p50, "unit": "1", "peer": fastest.name, "peer_value": fastest.ms}
        | {"ratio": fastest.ms / p50},
    }
    for peer in found:
        name = f"{mode}_{peer.name.split()[0]}_ms"
        figures[name] = {"value": peer.ms, "unit": "ms", "peer": "ours, p50", "peer_value": p50, "ratio": p50 / peer.ms}
    for name, image in {"": images[STEADY], **{f"_{peer.name.split()[0]}": peer.image for peer in found}}.items():
        for what, value in quality(image, problem.truth, problem.head)._asdict().items():
            figures[f"quality_{mode}{name}_{what}"] = {"value": value, "unit": "dB" if what == "psnr_db" else "1"}
    if mode == "exact":
        figures |= against_cg(problem, images)
    return figures


def play(scene, frames):
    """Latency in ms of every frame, and the images of the first and of a late frame with the same data."""
    with plugin() as ready, connected(ready["port"], keep=(0, STEADY)) as client:
        client.send(scene.opening)
        client.send(octets(scene.before[:1]))
        time.sleep(0.5)  # the plugin has chosen its chain
        client.send(octets(scene.before[1:]))
        sent_ns = paced(client, scene, frames)
        client.finish()
    missing = [n for n in range(frames) if n not in client.arrived_ns]
    if missing:
        raise RuntimeError(f"{len(missing)} of {frames} images never came, the first of them {missing[0]}")
    taken_ms = np.array([client.arrived_ns[n] - sent_ns[n] for n in range(frames)]) / 1e6
    return taken_ms, {n: image.pixels[0, 0] for n, image in client.images.items()}


def paced(client, scene, frames):
    """Send a readout every TR; the moments just before each frame's last one was handed to the socket."""
    sent_ns, late_ms = [], []
    due = time.perf_counter() + 0.1
    for number in range(frames):
        data = octets(scene.frame(number, last=number == frames - 1))
        size = len(data) // scene.frames.shape[1]
        for begin in range(0, len(data), size):
            due += TR_MS / 1e3
            time.sleep(max(0.0, due - time.perf_counter()))
            now_ns = time.perf_counter_ns()
            client.send(data[begin : begin + size])
            late_ms.append(1e3 * (now_ns / 1e9 - due))
        sent_ns.append(now_ns)
    say(f"  sender late by {np.median(late_ms):.2f} ms (median), {np.max(late_ms):.2f} ms (most)")
    return sent_ns


def against_cg(problem, images):
    """How far the images received are from CG-SENSE run until it stands still, by sigpy, with the same maps."""
    truth = np.abs(with_sigpy(problem, CONVERGED)())
    inside = problem.calibration.inside
    first, steady = (nrmse(fitted(images[n], truth, inside), truth, inside) for n in (0, STEADY))
    peer = {"unit": "1", "peer": "limit", "peer_value": 1e-2}
    return {
        "exact_nrmse_to_cg": {"value": steady, **peer, "ratio": 1e-2 / steady},
        "exact_first_nrmse_to_cg": {"value": first, **peer, "ratio": 1e-2 / first},
    }


def against_limit(value, limit):
    return {"value": value, "unit": "ms", "peer": "limit", "peer_value": limit, "ratio": limit / value}


def say(text):
    print(text, file=sys.stderr)

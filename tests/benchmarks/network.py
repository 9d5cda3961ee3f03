"""The network: its engine alone, beside BART's l1-wavelet on the same samples, and its image at the console.

Latency is from the last readout handed to the socket to the network image received, late ones included: where a linear
image went out first, the one behind it counts. A frame that has a linear image alone, as on a busy machine, counts as
the latest one, and in `network_missing_share`. `network_early_share` is of the images for which the network had begun
with lines of the frame before; `network_latency_whole_p50_ms` is without that, which is also what a frame takes whose
last lines have changed; `network_latency_steady_p99_ms` is without the first ten frames.
`network_latency_undisturbed_p99_ms` is of frames during which, and two seconds before, other machines took no more than
2 % of the processors; `network_disturbed_share` says how many those are not.
"""

import re
import time
from pathlib import Path

import numpy as np

from engines.engine import open_engine
from engines.model import load_model
from engines.unrolled.prepared import make_ready, prepare
from engines.unrolled.problem import begin
from engines.unrolled.strength import scan_of
from gadgets.look import query
from hw_sim.exam import sequence_of
from protocols.encode import encode
from protocols.events import Health
from protocols.header import write_header
from protocols.messages import Config, Header
from protocols.scan_protocol import find, names
from tests.benchmarks.client import connected
from tests.benchmarks.latency import TR_MS, against_limit, paced, say
from tests.benchmarks.peers import with_wavelet
from tests.benchmarks.plugin import plugin
from tests.benchmarks.scene import make_problem, make_scene, octets
from tests.benchmarks.stolen import watched

PROTOCOL = "brain_gre_r4_network"
FRAMES = 300
START = 10  # frames in which the inverse is made
WHOLE = 60  # frames that the network waits for the end of
TIMES = 30
BEFORE_NS, DISTURBING = 2_000_000_000, 0.02
ENGINE_LIMIT_MS, LATENCY_LIMIT_MS = 40.0, 60.0
OPENING_S = 60.0


def run() -> dict[str, dict[str, object]]:
    """16 coils, 256 x 256, R = 4, 24 calibration lines, a readout every 5 ms; nothing where no network is shipped."""
    if PROTOCOL not in names():
        say(f"network: no scan protocol {PROTOCOL} here, nothing measured")
        return {}
    scene = make_scene(PROTOCOL, FRAMES, tr_ms=TR_MS)
    problem = make_problem(scene)
    engine_ms = time_engine(problem)
    wavelet_ms = best_ms(with_wavelet(problem), 3)
    say(f"network: {FRAMES} frames of {scene.frames.shape[1]} lines, TR {TR_MS} ms")
    taken_ms, early, missing, disturbed = play(scene, FRAMES)
    say(f"network: {WHOLE} more, begun when they are whole")
    whole_ms, *_ = play(scene._replace(opening=patient(scene)), WHOLE)
    p50, p99 = (float(np.percentile(taken_ms, percent)) for percent in (50, 99))
    peer = {"peer": "bartorch l1-wavelet, 30 iterations", "peer_value": wavelet_ms}
    return {
        "network_engine_ms": against_limit(engine_ms, ENGINE_LIMIT_MS),
        "network_latency_p50_ms": against_limit(p50, LATENCY_LIMIT_MS),
        "network_latency_p99_ms": against_limit(p99, LATENCY_LIMIT_MS),
        "network_latency_steady_p99_ms": {"value": float(np.percentile(taken_ms[START:], 99)), "unit": "ms"},
        "network_latency_undisturbed_p99_ms": {"value": undisturbed(taken_ms, disturbed), "unit": "ms"},
        "network_disturbed_share": {"value": float(disturbed.mean()), "unit": "1"},
        "network_latency_max_ms": {"value": float(taken_ms.max()), "unit": "ms"},
        "network_latency_whole_p50_ms": {"value": float(np.median(whole_ms)), "unit": "ms"},
        "network_missing_share": {"value": missing, "unit": "1"},
        "network_early_share": {"value": early, "unit": "1"},
        "network_vs_l1_time": {"value": wavelet_ms / engine_ms, "unit": "1", **peer, "ratio": wavelet_ms / engine_ms},
    }


def time_engine(problem):
    """Median ms of the engine alone, with the inverse that the chain would give it."""
    protocol, _ = sequence_of(PROTOCOL)
    asked = dict(protocol.chain.nodes)["network"]
    model = load_model(protocol.engines.models["network"])
    prepared = prepare(
        problem.calibration, problem.acquired, model.card.strength, float(asked.get("withheld_share", 0.03))
    )
    make_ready(prepared)
    normal, start = begin(prepared.problem, problem.hybrid)
    tensors = {
        "start": start,
        "normal": normal,
        "inverse": prepared.problem.inverse,
        "scan": scan_of(prepared.box),
        "noise": prepared.problem.noise,
    }
    with open_engine(model) as engine:
        say(f"network: {engine.backend} {engine.version}, {engine.precision}, box {prepared.box.padded}")
        engine(tensors)
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            engine(tensors)
            taken.append((time.perf_counter() - began) * 1e3)
    return float(np.median(taken))


def best_ms(act, times):
    """The best of some runs: in the peer's favour."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1e3)
    return min(taken)


def patient(scene):
    """The opening of a scene whose scan protocol lets no network begin early."""
    text, changed = re.subn(
        r"early_lines = \d+", "early_lines = 0", Path(find(PROTOCOL).where).read_text(encoding="utf-8")
    )
    if changed != 1:
        raise RuntimeError(f"{PROTOCOL} names early_lines {changed} times, wanted once")
    return b"".join((*encode(Config(text, is_name=False)), *encode(Header(write_header(scene.played.scan)))))


def play(scene, frames):
    """Latency in ms of every frame's network image, shares of those begun early and without, who was disturbed."""
    with watched() as stolen, plugin() as ready, connected(ready["port"], keep=range(frames)) as client:
        wait_for_engine(ready)
        client.send(scene.opening)
        client.send(octets(scene.before[:1]))
        time.sleep(0.5)  # the plugin has chosen its chain
        client.send(octets(scene.before[1:]))
        sent_ns = paced(client, scene, frames)
        client.finish()
    made = [n for n in range(frames) if n in client.images and client.images[n].meta["Scanside.Engine"] == "network"]
    if not made:
        raise RuntimeError(f"none of {frames} frames has a network image; {client.texts[-3:]}")
    late = sum("network_late" in text for text in client.texts)
    last = client.images[made[-1]].meta["Scanside.Backend"]
    say(f"  {late} network images were late, {frames - len(made)} never came, {last}")
    taken_ms = np.full(frames, np.nan)
    taken_ms[made] = [(client.arrived_ns[n] - sent_ns[n]) / 1e6 for n in made]
    early = float(np.mean([client.images[n].meta["Scanside.BorrowedLines"] != "0" for n in made]))
    taken_ms = np.nan_to_num(taken_ms, nan=float(np.nanmax(taken_ms)))
    shares = [stolen.share(at - BEFORE_NS, at + ms * 1e6) for at, ms in zip(sent_ns, taken_ms, strict=True)]
    return taken_ms, early, 1 - len(made) / frames, np.array(shares) > DISTURBING


def undisturbed(taken_ms, disturbed):
    """p99 of the frames that were not disturbed; nothing where all were."""
    return None if disturbed.all() else float(np.percentile(taken_ms[~disturbed], 99))


def wait_for_engine(ready):
    """Wait until the server's health names what runs the network."""
    until = time.monotonic() + OPENING_S
    while time.monotonic() < until:
        health = Health.model_validate_json(query(ready["host"], ready["port"], "scanside::health"))
        if health.engines and not any("being opened" in engine for engine in health.engines.values()):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the network was not opened within {OPENING_S:g} s")

"""What all checks together cost an image: the same series with and without them, by turns, in one plugin."""

import tempfile
from pathlib import Path

import numpy as np

from gadgets.recipe import NEEDED
from protocols.encode import encode
from protocols.messages import Config
from protocols.scan_protocol import find
from tests.benchmarks.client import connected
from tests.benchmarks.latency import paced, say
from tests.benchmarks.plugin import plugin
from tests.benchmarks.scene import make_scene, octets

PROTOCOL = "brain_gre_r4"
BARE = "bare"
TURNS = 2
FRAMES = 45  # of a turn
SETTLED = 10  # of them, until the plugin is warm and the dense inverse is there, with checks and without
DRAWS = 2000
KEPT = ("whiten", "compress", "calibrate", *NEEDED)  # without which there would be another image


def run() -> dict[str, dict[str, object]]:
    """16 coils, 256 x 256, R = 4, a readout every 5 ms; about 80 seconds.

    The turns are on, off, off, on, so that a load that grows or falls evenly counts for both. The cost is the
    difference of the medians, with what 95 of 100 draws of the frames give.
    """
    scene = make_scene(PROTOCOL, FRAMES)
    opening = {"on": scene.opening, "off": scene.opening.replace(*(_chosen(name) for name in (PROTOCOL, BARE)), 1)}
    taken_ms = {"on": [], "off": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{BARE}.toml").write_text(bare(), encoding="utf-8")
        with plugin("--protocols", folder) as ready:
            for turn in range(2 * TURNS):
                which = ("on", "off")[(turn + turn // 2) % 2]
                say(f"checks {which}")
                taken_ms[which].extend(played(ready["port"], opening[which], scene))
    chance = np.random.default_rng(1)
    drawn = [
        np.median(chance.choice(taken_ms[which], (DRAWS, len(taken_ms[which]))), axis=1) for which in ("on", "off")
    ]
    low, high = (float(np.percentile(drawn[0] - drawn[1], percent)) for percent in (2.5, 97.5))
    p50, p99 = ({which: float(np.percentile(ms, at)) for which, ms in taken_ms.items()} for at in (50, 99))
    return {
        **{f"latency_checks_{which}_p50_ms": {"value": p50[which], "unit": "ms"} for which in ("on", "off")},
        **{f"latency_checks_{which}_p99_ms": {"value": p99[which], "unit": "ms"} for which in ("on", "off")},
        "latency_checks_cost_ms": {"value": p50["on"] - p50["off"], "unit": "ms", "low": low, "high": high},
    }


def _chosen(protocol):
    return b"".join(encode(Config(protocol, is_name=True)))


def bare():
    """The scan protocol without any check: its name, and the nodes that make the image as they are."""
    parameters = find(PROTOCOL).chain.parameters
    order = [name for name in find(PROTOCOL).chain.order if name in KEPT]
    lines = [f'name = "{BARE}"', 'title = "nothing is checked"', "[chain]", f"order = {order}"]
    for name in order:
        lines += [f"[chain.{name}]", *(f"{key} = {value!r}" for key, value in parameters.get(name, {}).items())]
    return "\n".join(lines)


def played(port, opening, scene):
    """Latency in ms of every settled frame of one connection."""
    with connected(port) as client:
        client.send(opening)
        client.send(octets(scene.before))
        sent_ns = paced(client, scene, FRAMES)
        client.finish()
    missing = [number for number in range(FRAMES) if number not in client.arrived_ns]
    if missing:
        raise RuntimeError(f"{len(missing)} of {FRAMES} images never came, the first of them {missing[0]}")
    return [(client.arrived_ns[number] - sent_ns[number]) / 1e6 for number in range(SETTLED, FRAMES)]

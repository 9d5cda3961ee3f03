"""A series as fast as the plugin takes it: frames per second, and resident memory over ten thousand frames."""

import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.client import connected
from tests.benchmarks.plugin import plugin
from tests.benchmarks.scene import make_scene, octets

FRAMES = 10_000
SETTLED = 500  # frames after which buffers, threads and caches are there
PAGE_MIB = 4096 / 2**20


def run() -> dict[str, dict[str, object]]:
    """16 coils, 128 x 128 (readouts of 256 samples), R = 4: 32 lines a frame, unpaced, TCP alone holds the sender."""
    scene = make_scene("brain_live_r4", FRAMES, matrix=(128, 128))
    with plugin() as ready, connected(ready["port"]) as client:
        client.send(scene.opening)
        client.send(octets(scene.before))
        first_mib = 0.0
        for number in range(FRAMES):
            client.send(octets(scene.frame(number, last=number == FRAMES - 1)))
            if number == SETTLED:
                first_mib = resident_mib(ready["pid"])
            if number % 1000 == 999:
                print(f"series: {number + 1} of {FRAMES} frames sent", file=sys.stderr)
        client.finish()
        last_mib = resident_mib(ready["pid"])
    return figures(client, first_mib, last_mib)


def figures(client, first_mib, last_mib):
    """Frames a second between the first settled image and the last one; images that never came."""
    times_ns = np.array(sorted(client.arrived_ns.values()))
    dropped = FRAMES - len(times_ns)
    fps = (len(times_ns) - 1 - SETTLED) / (times_ns[-1] - times_ns[SETTLED]) * 1e9
    return {
        "series_fps": {"value": fps, "unit": "1/s", "peer": "limit", "peer_value": 150.0, "ratio": fps / 150.0},
        "series_dropped": {"value": dropped, "unit": "frames", "peer": "limit", "peer_value": 0},
        "series_rss_first_mib": {"value": first_mib, "unit": "MiB"},
        "series_rss_last_mib": {"value": last_mib, "unit": "MiB"},
        "series_rss_growth_mib": {"value": last_mib - first_mib, "unit": "MiB", "peer": "flat", "peer_value": 0.0},
    }


def resident_mib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MIB

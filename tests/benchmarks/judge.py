"""What it costs to measure an image of 256 x 256, after it has left."""

import time

import numpy as np

from engines.quality.image import Shown, measure

SIZE = 256
TIMES = 50


def heads():
    """A shaded object in noise, and the same as an exact solve has it: zero outside."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    inside = (y / 0.8) ** 2 + (x / 0.6) ** 2 < 1
    signal = 1000 * inside * np.exp(-x) * (1.2 + np.cos(20 * x) * np.cos(17 * y))
    noise = 20 * np.random.default_rng(0).standard_normal((2, SIZE, SIZE))
    seen = np.abs(signal + noise[0] + 1j * noise[1]).astype(np.float32)
    return seen, (seen * inside).astype(np.float32)


def run() -> dict[str, dict[str, object]]:
    """The slowest twentieth of fifty images, in ms."""
    taken = []
    images = heads()
    for number in range(TIMES + 2):
        shown = Shown(images[number % 2])
        began = time.perf_counter()
        measure(shown)
        taken.append((time.perf_counter() - began) * 1e3)
    value = float(np.percentile(taken[2:], 95))
    return {"qc_slice_ms": {"value": value, "unit": "ms", "peer": "limit", "peer_value": 50.0, "ratio": 50.0 / value}}

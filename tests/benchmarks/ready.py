"""How long from launch until the plugin says that it is ready."""

from statistics import median

from tests.benchmarks.plugin import plugin

TIMES = 5


def run() -> dict[str, dict[str, object]]:
    """Median of a few launches, in seconds; the first one, with cold file caches, is left out."""
    taken = []
    for _ in range(TIMES + 1):
        with plugin() as ready:
            taken.append(float(ready["ready_s"]))
    value = median(taken[1:])
    return {"ready_s": {"value": value, "unit": "s", "peer": "limit", "peer_value": 1.0, "ratio": 1.0 / value}}

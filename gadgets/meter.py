"""meter: what a connection has done and how long it took, for the bus and for Prometheus."""

import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

import numpy as np
from prometheus_client import Counter, Histogram

from protocols.channel import Channel
from protocols.events import Metrics
from protocols.messages import Message

__all__ = ["Meter"]

STAGE_MS = Histogram(
    "scanside_stage_ms",
    "Milliseconds a stage took",
    ["stage"],
    buckets=(0.5, 1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200, 500, 1000),
)
COUNTED = Counter("scanside_messages", "Messages by kind", ["kind"])
REMEMBERED = 2048  # timings a stage that percentiles are taken from


class Meter:
    """Counts and timings of one connection; safe to use from several threads."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._counts: dict[str, int] = defaultdict(int)
        self._stages: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._queues: dict[str, Channel[Message]] = {}

    def count(self, kind: str, number: int = 1) -> None:
        """Count messages of a kind: readouts, frames, images, flags or dropped."""
        with self._lock:
            self._counts[kind] += number
        COUNTED.labels(kind).inc(number)

    def took(self, stage: str, ms: float) -> None:
        """Note what a stage took."""
        with self._lock:
            self._stages[stage].append(ms)
        STAGE_MS.labels(stage).observe(ms)

    def watch(self, name: str, queue: Channel[Message]) -> None:
        """Report the depth of a queue from now on."""
        self._queues[name] = queue

    def metrics(self) -> Metrics:
        """Everything since the connection began; percentiles over the last timings of each stage."""
        with self._lock:
            stages = {name: list(values) for name, values in self._stages.items()}
            counts = dict(self._counts)
        return Metrics(
            session=self._session,
            stage_p50_ms=_percentile(stages, 50),
            stage_p99_ms=_percentile(stages, 99),
            queue_depth={name: len(queue) for name, queue in self._queues.items()},
            **counts,
        )


def _percentile(stages: Mapping[str, Sequence[float]], percent: float) -> dict[str, float]:
    return {name: round(float(np.percentile(values, percent)), 3) for name, values in stages.items() if values}

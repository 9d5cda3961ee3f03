"""Two clocks: one that lets real time pass, and one that does not wait."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Clock", "Jitter", "VirtualClock", "WallClock"]


class Clock(Protocol):
    """Lets the scanner wait until a moment of the scan."""

    def wait_until(self, scan_ns: int) -> int:
        """Return when the moment has come; tells how late, in ns."""


@dataclass(slots=True)
class WallClock:
    """Scan time is real time from the first question on."""

    begun_ns: int = 0

    def wait_until(self, scan_ns: int) -> int:
        """Sleep until then."""
        self.begun_ns = self.begun_ns or time.monotonic_ns() - scan_ns
        due_ns = self.begun_ns + scan_ns
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns * 1e-9)
        return -left_ns


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """Every moment has come already."""

    def wait_until(self, scan_ns: int) -> int:  # noqa: ARG002
        """Return at once, never late."""
        return 0


@dataclass(frozen=True, slots=True)
class Jitter:
    """How late readouts left, against the sequence's own times."""

    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, late_ns: list[int]) -> "Jitter":
        """Sum up the lateness of each readout."""
        p50_ms, p99_ms = np.percentile(np.array(late_ns or [0]) * 1e-6, [50, 99])
        return cls(float(p50_ms), float(p99_ms))

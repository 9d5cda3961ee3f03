"""Whose turn it is at the network: what can be in time, and what is late already in the gaps between."""

import time
from collections.abc import Sequence
from typing import Final

from gadgets.draw import Job, Sketch

__all__ = ["Turns"]

USUAL_MS: Final = 200.0  # that a frame is expected to take before one was drawn
LATELY: Final = 4  # frames, of which the slowest counts
FIRST_LEAD_NS: Final = 200e6  # by which a frame is taken to be told before its end, until one has come
LEAST_LEAD_NS: Final = 100e6
OVERDUE_NS: Final = 500e6  # after which a frame that was to come is no longer waited for
UNKNOWN_NS: Final = 1e9  # for which a late one is held back while no second frame has told when the next will come


class Turns:
    """Says which of those that wait goes first; told by one thread what comes, asked by another."""

    def __init__(self, crowd: int) -> None:
        self._crowd = crowd  # so many may wait: then late ones are not held back, or new ones would find no place
        self._before_ns: float | None = None  # last readout of the frame before
        self._told_ns = 0.0
        self._blocked = 0.0, 0.0  # between these times a frame that can be in time would be begun
        self._allowed_ns = 0.0  # from then until it is due
        self._lead_ns = FIRST_LEAD_NS
        self._costs_ms: tuple[float, ...] = (USUAL_MS,)
        self._rhythm = False  # whether frames have told when the next one comes, or that none does

    def told(self) -> float:
        """Take note that a frame was told early, and say until when it may be begun so: its last readout comes then."""
        self._told_ns = time.monotonic_ns()
        return self._told_ns + max(self._lead_ns, LEAST_LEAD_NS)

    def came(self, arrived_ns: float, due_ns: float) -> None:
        """Take note of a frame, which had its last readout then: in a series the next one keeps the same distance."""
        if self._before_ns is not None:
            self._rhythm = True
            period = arrived_ns - self._before_ns
            told = self._told_ns > self._before_ns
            lead = arrived_ns - self._told_ns if told else 0.0
            self._lead_ns = lead if told else self._lead_ns
            begins = arrived_ns + period - lead
            self._blocked = begins, begins + min(period, OVERDUE_NS)
            self._allowed_ns = due_ns - arrived_ns + lead
        self._before_ns = arrived_ns

    def drawn(self, took_ms: float) -> None:
        """Take note of how long a frame took."""
        self._costs_ms = (*self._costs_ms, took_ms)[-LATELY:]

    def over(self) -> None:
        """Take note that no frame comes any more."""
        self._blocked, self._rhythm = (0.0, 0.0), True

    def first(self, waiting: Sequence[Job | Sketch]) -> int | None:
        """The oldest that may still be in time, or a late one if it makes no other late; None: nothing now.

        What waits for its inverse leaves the others their turn.
        """
        now = time.monotonic_ns()
        able = [n for n, job in enumerate(waiting) if job.able(now)]
        timely = next((n for n in able if isinstance(waiting[n], Sketch) or waiting[n].due_ns > now), None)
        if timely is not None or not able:
            return timely
        (begins, ends), cost_ns = self._blocked, max(self._costs_ms) * 1e6
        spoils = begins - cost_ns < now < ends and cost_ns < self._allowed_ns
        unsure = not self._rhythm and now < waiting[able[0]].due_ns + UNKNOWN_NS
        return None if (spoils or unsure) and len(waiting) < self._crowd else able[0]

"""navigator: whether the patient lies still, from one line of k-space that is acquired again and again."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.quality.motion import unexplained
from gadgets.context import Context
from gadgets.raw_verdict import verdict
from protocols.events import Flag, Severity
from protocols.messages import Lines, Message, NoiseScan, Record
from protocols.mrd import AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["navigator"]

NAVIGATES = flag_mask(AcqFlag.IS_NAVIGATION_DATA)
NO_IMAGE = flag_mask(AcqFlag.IS_NAVIGATION_DATA, AcqFlag.IS_NOISE_MEASUREMENT)
FRAME = ("slice", "contrast", "repetition")
STILL = "ask the patient to lie still; what was acquired meanwhile is to be acquired again"
START_AGAIN = "stop, let the patient settle, and start again: he has not come back"

Frame = tuple[int, ...]


def navigator(context: Context) -> Node:
    """Compare every navigator with the first one of its slice and encode step.

    The score, `navigator_mismatch`, is the part of its amplitude that the first one does not explain, in percent, noise
    and a common gain and phase taken off: coils stay where they are, so that a patient who moves is seen by them from
    elsewhere (Kober et al., Magn Reson Med 2011; 66:135). Frames that were under way between a navigator beyond the
    limit and the nearest good ones are told, each once, as soon as that is known. `patient_away` is how many
    navigators in a row were beyond it. UNKNOWN is a scan in which no navigator came twice.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context)
        for message in messages:
            yield message
            if isinstance(message, Lines):
                yield from watch.take(message)
            elif isinstance(message, NoiseScan):
                watch.whitened = message.whitened
        yield from watch.close()

    return node


class _Watch:
    """Where the patient was at first, and what has been acquired since he was last seen there."""

    def __init__(self, context: Context) -> None:
        self.whitened = False
        self._context = context
        self._first: dict[tuple[int, ...], NDArray[np.complex64]] = {}
        self._since: dict[Frame, None] = {}  # frames under way since the last navigator, in order
        self._told: set[Frame] = set()
        self._away = 0
        self._judged = 0
        self._worst = 0.0

    def take(self, lines: Lines) -> Iterator[Flag]:
        """Look at a batch."""
        flags = lines.headers["flags"]
        for n, header in enumerate(lines.headers):
            if not flags[n] & NO_IMAGE:
                self._since[tuple(int(header["idx"][name]) for name in FRAME)] = None
            elif flags[n] & NAVIGATES:
                yield from self._look(header, lines.samples[n][:, None])

    def close(self) -> Iterator[Flag]:
        """Say what was under way at the end, and how still the patient lay."""
        if self._away:
            yield from self._hit(self._worst)
        if not self._judged:
            text = "no navigator came twice: whether the patient moved cannot be told"
            yield self._context.flag("navigator_mismatch", Severity.UNKNOWN, text)
        elif not self._told:
            text = f"the patient lay still: {self._judged} navigators differ by at most {self._worst:.1f} %"
            yield verdict(self._context, "navigator_mismatch", self._worst, text, "%")

    def _look(self, header: Record, line: NDArray[np.complex64]) -> Iterator[Flag]:
        """Judge a navigator (coil, 1, x)."""
        idx = header["idx"]
        key = tuple(int(idx[name]) for name in ("slice", "contrast", "set", "kspace_encode_step_1"))
        if key not in self._first:
            self._first[key] = line.copy()
            self._since.clear()
            return
        score = 100 * unexplained(line, self._first[key], 1.0 if self.whitened else 0.0)
        limit = self._context.protocol.limits.get("navigator_mismatch")
        moved = limit is not None and limit.judge(score).broken
        self._judged += 1
        self._worst = max(self._worst, score)
        if moved or self._away:
            yield from self._hit(score)
        self._since.clear()
        if moved:
            yield from self._gone(header)
        else:
            self._away = 0

    def _hit(self, score: float) -> Iterator[Flag]:
        """Tell the frames that were under way, those that were not told yet."""
        for frame in self._since:
            if frame in self._told:
                continue
            self._told.add(frame)
            where: dict[str, object] = dict(zip(FRAME, frame, strict=True))
            worst = max(score, self._worst)
            text = f"the patient moved while slice {frame[0]} was acquired: {worst:.1f} % of a navigator is new"
            yield verdict(self._context, "navigator_mismatch", worst, text, "%", evidence=where, advice=STILL)

    def _gone(self, header: Record) -> Iterator[Flag]:
        """Count, and say once when that is too many."""
        limit = self._context.protocol.limits.get("patient_away")
        before, self._away = self._away, self._away + 1
        if limit is None or not limit.judge(self._away).broken or limit.judge(before).broken:
            return
        text = f"{self._away} navigators in a row are not as at the beginning: the patient lies elsewhere"
        evidence = {"readout": int(header["scan_counter"])}
        yield verdict(
            self._context, "patient_away", self._away, text, "navigators", evidence=evidence, advice=START_AGAIN
        )

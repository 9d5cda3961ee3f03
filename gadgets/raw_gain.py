"""gain: whether the noise of every coil stays what it was while a scan goes on: gain, plugs and preamplifiers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.quality.gain import ends_of, floor_db
from gadgets.context import Context
from gadgets.raw_verdict import behind, label, place, verdict
from protocols.events import Flag, Severity
from protocols.lattice import Lattice
from protocols.messages import Readouts, Record
from protocols.mrd import SERVICE, AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["gain"]

CODE = "gain_change"
BLOCK = 8  # readouts whose noise is taken together, and more of short ones:
ENOUGH = 672  # samples of a coil by which its noise is known to 0.4 dB
MOST_READOUTS = 32  # of one batch, from all over it
SHORTEST = 32  # samples
OTHER = flag_mask(
    AcqFlag.IS_NOISE_MEASUREMENT,
    AcqFlag.IS_NAVIGATION_DATA,
    *SERVICE,
)


def gain(context: Context) -> Node:
    """Follow the noise of every coil from the first lines to the last, at both ends of readouts in the outer half.

    `gain_change`: how far the noise of the coil that changed most lies from where it was at first, in dB. A receiver's
    gain carries noise and signal alike, so that no line has to come twice, and motion is no change of it. Told when it
    breaks the limit, and the worst at the end. UNKNOWN is a scan with fewer than sixteen readouts in the outer half of
    k-space, or 28 of 192 samples. What changes a coil's signal and leaves its noise is not seen.
    """
    return behind(lambda: _Watch(context))


@dataclass(slots=True)
class _Course:
    """The noise of readouts of one length and dwell time."""

    waiting: list[NDArray[np.complex64]] = field(default_factory=list)  # (coil, 2, readout, sample), no block yet
    gathered: int = 0
    first: NDArray[np.float64] | None = None  # (coil,) dB


class _Watch:
    """Noise at first, and the coil that has gone furthest from it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._courses: dict[tuple[int, ...], _Course] = {}
        self._lattice = Lattice.of(context.scan.encodings[0])
        self._worst: tuple[float, int, dict[str, int]] | None = None
        self._readouts = 0
        self._told = False

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Look at some readouts of a batch; say it when a coil has changed too much."""
        headers = message.headers
        lines = self._lattice.lines
        outer = np.abs(self._lattice.rows(headers["idx"]["kspace_encode_step_1"]) - lines // 2) >= lines // 4
        which = np.flatnonzero(outer & ((headers["flags"] & OTHER) == 0))
        if not len(which) or message.samples.shape[2] < SHORTEST:
            return
        which = which[:: -(-len(which) // MOST_READOUTS)]
        key = (*message.samples.shape[1:], round(1000 * float(headers["sample_time_us"][which[0]])))
        course = self._courses.setdefault(key, _Course())
        self._readouts += len(which)
        for begin in range(0, len(which), BLOCK):
            some = which[begin : begin + BLOCK]
            ends = ends_of(message.samples[some])
            course.waiting.append(ends)
            course.gathered += len(some)
            if course.gathered >= max(BLOCK, ENOUGH // (2 * ends.shape[3])):
                yield from self._judge(course, headers[some[-1]])

    def close(self) -> Iterator[Flag]:
        """Say the coil that has changed most."""
        if self._worst is not None:
            yield self._flag(*self._worst)
        elif self._readouts:
            text = f"{self._readouts} readouts in the outer half of k-space are too few to tell a change of gain"
            yield self._context.flag(CODE, Severity.UNKNOWN, text)

    def _judge(self, course: _Course, header: Record) -> Iterator[Flag]:
        level = floor_db(np.concatenate(course.waiting, axis=2))
        course.waiting, course.gathered = [], 0
        if course.first is None:
            course.first = level
            return
        changed = level - course.first
        coil = int(np.argmax(np.abs(changed)))
        by = float(changed[coil])
        if self._worst is None or abs(by) > abs(self._worst[0]):
            self._worst = (by, coil, {**place(header), "line": int(header["idx"]["kspace_encode_step_1"])})
        limit = self._context.protocol.limits.get(CODE)
        if not self._told and limit is not None and limit.judge(abs(by)).broken:
            self._told = True
            yield self._flag(*self._worst)

    def _flag(self, by: float, coil: int, where: dict[str, int]) -> Flag:
        name = label(self._context, coil)
        text = f"noise of {name} has changed by {by:+.1f} dB since the scan began"
        evidence: dict[str, object] = {**where, "coil": coil, "label": name, "change_db": round(by, 2)}
        advice = f"check plug and cable of {name}, and repeat what came after line {where['line']} of this frame"
        return verdict(self._context, CODE, abs(by), text, "dB", evidence=evidence, advice=advice)

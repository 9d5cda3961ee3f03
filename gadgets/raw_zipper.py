"""zipper: interference at one frequency that stands in every readout, with its frequency."""

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.quality.interference import heights_db, log_spectrum, offset_hz
from gadgets.context import Context
from gadgets.raw_verdict import behind, verdict
from protocols.events import Flag, Severity
from protocols.messages import Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["zipper"]

MOST_COILS = 8  # a transmitter is heard by all, and a spectrum costs time
MOST_READOUTS = 32  # of one batch, from all over it
BLOCK = 16  # readouts that are judged together
MOST_BLOCKS = 256  # that are remembered
EARLY, LEAST = 4, 2  # blocks before a line is said in mid-scan, and before anything is said at its end
EACH = 3  # blocks of two slices before a line is said in mid-scan of several: a small object is in one
SPAN = 0.5  # of k-space that must have come before a line is said in mid-scan: neighbouring lines are alike
ADVICE = "close the door of the scanner room, take out what has a cable or battery, and repeat the scan"


def zipper(context: Context) -> Node:
    """Look for a narrow line in the spectrum of the readouts that stays where it is from the first to the last.

    The score is how far it stands above the columns around it, in dB: the median over blocks of sixteen readouts, since
    anatomy is strong in few of them and hides a transmitter there; the last block may have eight, which are outer lines
    and without anatomy. It is told when half of k-space has come, where there are several slices of two, and at the
    end; one that is heard in less than half of the scan is not told.
    """
    return behind(lambda: _Ear(context))


class _Ear:
    """What has stood in every block of readouts so far."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limit = context.protocol.limits.get("zipper")
        self._waiting: list[NDArray[np.complex64]] = []  # (readout, coil, sample) that are no whole block yet
        self._heights: deque[NDArray[np.float32]] = deque(maxlen=MOST_BLOCKS)  # of each block (column,)
        self._broken: NDArray[np.intp] | None = None  # blocks so far that break the limit (column,)
        self._dwell_us = 0.0
        slices = context.scan.encodings[0].limits.get("slice")
        self._of_slice: dict[int, int] = {}  # blocks so far by the slice in which they ended
        self._two = 1 if slices is None else min(slices.maximum + 1, 2)
        self._steps: list[int] = []  # least and largest encode step so far
        self._wide = SPAN * context.scan.encodings[0].encoded_matrix[1]
        self._told = False

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Listen to some readouts of a batch; say it when a line has stood in every block."""
        noisy = has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        if noisy.all() or message.samples.shape[2] < 32:
            return
        which = np.flatnonzero(~noisy)
        which = which[:: -(-len(which) // MOST_READOUTS)]
        every = -(-message.samples.shape[1] // MOST_COILS)
        self._dwell_us = float(message.headers["sample_time_us"][which[0]])
        steps = message.headers["idx"]["kspace_encode_step_1"][which].tolist()
        self._steps = [min([*self._steps, *steps]), max([*self._steps, *steps])]
        lines = message.samples[which, ::every]
        if self._waiting and self._waiting[0].shape[1:] != lines.shape[1:]:
            self._forget()
        self._waiting.append(lines)
        while sum(map(len, self._waiting)) >= BLOCK:
            gathered = np.concatenate(self._waiting)
            self._waiting = [gathered[BLOCK:]]
            self._judge(gathered[:BLOCK])
            slice_ = int(message.headers["idx"]["slice"][which[-1]])
            self._of_slice[slice_] = self._of_slice.get(slice_, 0) + 1
            yield from self._early()

    def close(self) -> Iterator[Flag]:
        """Say at the end of a scan what stood in all of it."""
        if len(self._heights) >= LEAST:
            if sum(map(len, self._waiting)) >= BLOCK // 2:
                self._judge(np.concatenate(self._waiting))
            yield self._flag()
        elif self._steps:
            text = f"fewer than {LEAST * BLOCK} readouts were looked at: too few to tell a line from anatomy"
            yield self._context.flag("zipper", Severity.UNKNOWN, text)

    def _forget(self) -> None:
        """Begin anew: readouts of another length have other columns."""
        self._waiting, self._broken, self._of_slice = [], None, {}
        self._heights.clear()

    def _judge(self, block: NDArray[np.complex64]) -> None:
        heights = heights_db(log_spectrum(block), len(block)).astype(np.float32)
        if self._broken is None:
            self._broken = np.zeros(len(heights), np.intp)
        if self._limit is not None:
            if len(self._heights) == MOST_BLOCKS:
                self._broken -= self._heights[0] > self._limit.value
            self._broken += heights > self._limit.value
        self._heights.append(heights)

    def _early(self) -> Iterator[Flag]:
        if self._told or len(self._heights) < EARLY or self._steps[1] - self._steps[0] < self._wide:
            return
        if sum(blocks >= EACH for blocks in self._of_slice.values()) < self._two:
            return
        if self._broken is None or self._limit is None or 2 * self._broken.max() < len(self._heights):
            return
        latest = np.median(list(self._heights)[-EACH:], axis=0)
        if not ((latest > self._limit.value) & (2 * self._broken >= len(self._heights))).any():
            return  # no line stands both in most of the blocks and in the last ones
        flag = self._flag()
        if flag.severity.broken:
            self._told = True
            yield flag

    def _flag(self) -> Flag:
        ordered, count = np.sort(np.array(self._heights).T.copy(), axis=1), len(self._heights)
        heights = (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2
        column = int(np.argmax(heights))
        height = float(heights[column])
        evidence: dict[str, object] = {"column": column}
        where = f"column {column} of {len(heights)}"
        if self._dwell_us > 0:
            hertz = offset_hz(column, len(heights), self._dwell_us)
            evidence["offset_hz"] = round(hertz, 1)
            where = f"{hertz / 1e3:+.2f} kHz from the receiver's centre"
            if self._context.scan.resonance_hz:
                evidence["frequency_hz"] = round(self._context.scan.resonance_hz + hertz)
        text = f"the strongest line in every readout's spectrum is {height:.1f} dB high, at {where}"
        return verdict(self._context, "zipper", height, text, "dB", evidence=evidence, advice=ADVICE)

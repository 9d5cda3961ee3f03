"""enough: whether the averages that have come give the signal-to-noise ratio that is wanted."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.linear.combine import rss
from engines.linear.fourier import to_image
from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.lattice import Lattice
from protocols.messages import Lines, Message, NoiseScan
from protocols.mrd import AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["enough"]

NO_IMAGE = flag_mask(AcqFlag.IS_NAVIGATION_DATA, AcqFlag.IS_NOISE_MEASUREMENT)
HALF = 8  # lines on either side of k = 0 that the signal is taken from
LEAST = 8  # of them that must be neighbours
OBJECT = 0.1  # of the brightest signal

Target = Annotated[float, Field(gt=0)]


def enough(context: Context, target: Target = 30.0) -> Node:
    """Tell in a scan with averages when those that every slice has reach the SNR `target`: `snr_reached`.

    The signal is the median of the object in an image of the first slice's central lines, coils combined by the root of
    their sum of squares; its noise is that of white coils, fallen with the root of the averages and risen with the root
    of the acceleration. What coil geometry adds is not known yet, so allow for it in the target. UNKNOWN is a scan with
    averages whose noise is not known, or whose central lines do not lie side by side.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context, target)
        for message in messages:
            yield message
            if isinstance(message, Lines) and not watch.over:
                yield from watch.take(message)
            elif isinstance(message, NoiseScan):
                watch.whitened = message.whitened

    return node


class _Watch:
    """Central lines of the first slice, and how many averages every slice has."""

    def __init__(self, context: Context, target: float) -> None:
        encoding = context.scan.encodings[0]
        averages, slices = encoding.limits.get("average"), encoding.limits.get("slice")
        self.whitened = False
        self._context = context
        self._target = target
        self._lattice = Lattice.of(encoding)
        self._acceleration = encoding.acceleration[0] * encoding.acceleration[1]
        self._averages = 1 if averages is None else averages.maximum - averages.minimum + 1
        self._complete = dict.fromkeys(range(1 if slices is None else slices.maximum + 1), 0)
        self._slice: int | None = None
        self._central: dict[int, NDArray[np.complex64]] = {}  # row -> (coil, x)
        self._level: float | None = None  # of one average
        self.over = self._averages == 1

    def take(self, lines: Lines) -> Iterator[Flag]:
        """Look at a batch; says something when another average of all slices is complete."""
        for header, samples in zip(lines.headers, lines.samples, strict=True):
            if header["flags"] & NO_IMAGE:
                continue
            idx = header["idx"]
            slice_, average = int(idx["slice"]), int(idx["average"])
            if average == 0:
                self._keep(slice_, int(self._lattice.rows(idx["kspace_encode_step_1"])), samples)
            before = min(self._complete.values())
            self._complete[slice_] = max(self._complete.get(slice_, 0), average)
            complete = min(self._complete.values())
            if complete > before:
                yield from self._judge(complete)
            if self.over:
                return

    def _keep(self, slice_: int, row: int, samples: NDArray[np.complex64]) -> None:
        self._slice = slice_ if self._slice is None else self._slice
        if slice_ == self._slice and abs(row - self._lattice.lines // 2) <= HALF:
            self._central[row] = samples.copy()

    def _judge(self, complete: int) -> Iterator[Flag]:
        """Compare what so many averages give with the target."""
        if self._level is None:
            self._level = self._signal()
        if self._level is None:
            self.over = True
            text = "how much signal there is cannot be told: no noise scan, or no central lines side by side"
            yield self._context.flag("snr_reached", Severity.UNKNOWN, text)
            return
        snr = self._level * (2 * complete / self._acceleration) ** 0.5
        if snr >= self._target:
            self.over = True
            yield self._context.flag(
                "snr_reached",
                Severity.PASS,
                f"{complete} of {self._averages} averages give an SNR of {snr:.0f}, wanted {self._target:g}",
                score=round(snr, 2),
                unit="1",
                evidence={"averages": complete, "of": self._averages},
            )

    def _signal(self) -> float | None:
        """Median of the object in an image of the central lines, in units of the noise of a sample."""
        rows = sorted(self._central)
        if not self.whitened or len(rows) < LEAST or rows[-1] - rows[0] != len(rows) - 1:
            return None
        count = self._lattice.lines
        first = self._central[rows[0]]
        hybrid = np.zeros((len(first), count, first.shape[1]), np.complex64)
        hybrid[:, rows] = np.stack([self._central[row] for row in rows], 1)
        power = rss(to_image(hybrid, 1)) ** 2 - len(first) * len(rows) / count
        image = np.sqrt(power.clip(min=0))
        return float(np.median(image[image > OBJECT * image.max()])) if image.max() > 0 else None

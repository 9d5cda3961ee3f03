"""inspect: look at raw readouts as they arrive; what is not a number never reaches k-space."""

from collections.abc import Iterator
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from gadgets.context import Context
from gadgets.raw_verdict import label, place, verdict
from protocols.events import Severity
from protocols.messages import Failure, Message, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["inspect"]

LOWER_GAIN = "lower the receiver gain and repeat the scan"
CLIPPED = 3  # samples of one readout and coil at exactly its largest value: chance does not do that


def inspect(context: Context) -> Node:
    """Take out readouts with NaN or infinite samples, watch for saturation, stop at another coil or sample count.

    A readout taken out is a missing line later; every finding is a flag with its line, slice and coils. A receiver at
    the end of its range shows as several samples at exactly the largest value that the scan has had. A change of coils
    or samples in mid-scan is a Failure: what came before it is kept and finished, what comes after is not read.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context)
        for message in messages:
            if isinstance(message, Readouts) and len(message.headers):
                yield from watch.look(message)
                if watch.stopped:
                    return
            else:
                yield message
        yield from watch.summary()

    return node


class _Watch:
    """What has been seen of one scan."""

    def __init__(self, context: Context) -> None:
        self.stopped = False
        self._context = context
        self._layout: tuple[int, ...] | None = None
        self._saturated = 0
        self._peak = 0.0

    def look(self, message: Readouts) -> Iterator[Message]:
        """Pass what is good of a batch, and what is to be said about it."""
        layout = message.samples.shape[1:]
        if layout != self._layout and not has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT).all():
            if self._layout is not None:
                self.stopped = True
                yield Failure(_changed(message, self._layout))
                return
            self._layout = layout
        message = message.aligned()
        largest = _largest(message.samples)
        peak = float(largest.max())
        if not isfinite(peak):
            good = np.isfinite(largest.max(axis=1))
            message, largest, finding = message.part(good), largest[good], _non_finite(message, good, self._context)
            yield finding
            if not len(message.headers):
                return
            peak = float(largest.max())
        if peak >= self._peak:
            self._peak = peak
            yield from self._saturations(message, largest)
        yield message

    def _saturations(self, message: Readouts, largest: NDArray[np.float32]) -> Iterator[Message]:
        """Count readouts that sit several times at the scan's largest value, and tell of the first ones."""
        clipped = _clipped(message.samples, largest, self._peak)
        if clipped.any():
            first = self._saturated == 0
            self._saturated += int(clipped.any(axis=1).sum())
            if first:
                yield _saturation(self._context, message, clipped)

    def summary(self) -> Iterator[Message]:
        """How much of the scan was saturated."""
        if self._layout is not None:
            text = f"{self._saturated} readouts were saturated in this scan"
            yield verdict(self._context, "saturated_samples", self._saturated, text, "readouts", advice=LOWER_GAIN)


def _changed(message: Readouts, layout: tuple[int, ...]) -> str:
    coils, samples = message.samples.shape[1:]
    return (
        f"readout {int(message.headers['scan_counter'][0])} has {coils} coils x {samples} samples, the scan began with "
        f"{layout[0]} x {layout[1]}; what came before is kept, the rest is not read. Send one layout a connection"
    )


def _non_finite(message: Readouts, good: NDArray[np.bool_], context: Context) -> Message:
    bad = message.headers[~good]
    idx = bad["idx"]
    return context.flag(
        "non_finite_samples",
        Severity.FAIL,
        f"{len(bad)} readouts hold NaN or infinite samples (first: line {int(idx['kspace_encode_step_1'][0])} of slice "
        f"{int(idx['slice'][0])}); they are not used",
        advice=f"repeat slice {int(idx['slice'][0])}",
        score=len(bad),
        unit="readouts",
        evidence={"slice": int(idx["slice"][0]), "lines": idx["kspace_encode_step_1"].tolist()},
    )


def _parts(samples: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Real and imaginary parts side by side."""
    return np.ascontiguousarray(samples).view(np.float32)


def _largest(samples: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Magnitude of the largest part (readout, coil); NaN where there is one."""
    parts = _parts(samples)
    largest: NDArray[np.float32] = np.maximum(parts.max(axis=2), -parts.min(axis=2))
    return largest


def _clipped(samples: NDArray[np.complex64], largest: NDArray[np.float32], peak: float) -> NDArray[np.bool_]:
    """Tell which (readout, coil) sit several times at exactly the scan's largest value so far."""
    clipped = np.zeros(largest.shape, np.bool_)
    for readout, coil in zip(*np.nonzero((largest == np.float32(peak)) & (largest > 0)), strict=True):
        clipped[readout, coil] = (
            np.count_nonzero(np.abs(_parts(samples[readout, coil])) == largest[readout, coil]) >= CLIPPED
        )
    return clipped


def _saturation(context: Context, message: Readouts, clipped: NDArray[np.bool_]) -> Message:
    hit = clipped.any(axis=1)
    header = message.headers[int(np.argmax(hit))]
    coils = np.flatnonzero(clipped[int(np.argmax(hit))]).tolist()
    line = int(header["idx"]["kspace_encode_step_1"])
    names = ", ".join(label(context, coil) for coil in coils)
    where: dict[str, object] = {**place(header), "line": line, "coils": coils, "label": names}
    text = f"the receiver was at the end of its range: line {line} of slice {where['slice']}, {names}"
    return verdict(context, "saturated_samples", int(hit.sum()), text, "readouts", evidence=where, advice=LOWER_GAIN)

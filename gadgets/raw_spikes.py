"""spikes: sparks in single samples of k-space, found as they arrive, and mended where the protocol wants it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engines.quality.spikes import Spikes, find_spikes, mend, predictor
from gadgets.context import Context
from gadgets.raw_verdict import behind, label, place, verdict
from protocols.events import Flag
from protocols.messages import Message, Readouts, Record
from protocols.mrd import ENDING, AcqFlag, flag_mask, has_flag
from protocols.stream import Node

__all__ = ["spikes"]

Despike = Literal["flag", "interpolate"]
ENDS_FRAME = flag_mask(*ENDING)
MOST_LINES = 64  # that evidence names


def spikes(context: Context, despike: Despike = "flag") -> Node:
    """Find samples that neither noise nor their neighbours' signal explain, in every coil of every readout.

    The first one of a frame is flagged at once, all of them once more when the frame ends; the score is the number of
    readouts hit. With `despike = "flag"` a readout is placed first and judged then. `"interpolate"` puts what its
    neighbours predict in place of a spike, and `mark` writes that on the image. In an oversampled readout spikes are
    seen upon signal too, since neighbours tell the signal; without oversampling one must be five times what is around.
    """
    if despike == "flag":
        return behind(lambda: _Watch(context, mends=False))

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        watch = _Watch(context, mends=True)
        for message in messages:
            if not isinstance(message, Readouts) or not len(message.headers):
                yield message
                continue
            found = watch.look(message)
            yield from watch.say(found, message.headers)
            yield replace(message, samples=mend(message.samples, found)) if len(found) else message
        yield from watch.close()

    return node


@dataclass(slots=True)
class _Hit:
    """The spikes of one frame so far."""

    where: dict[str, int]
    told: int = 0
    lines: list[int] = field(default_factory=list)  # encode step 1 of each readout that was hit
    samples: int = 0
    worst: tuple[float, int, int, int] = (0.0, 0, 0, 0)  # noise standard deviations, line, coil, sample


class _Watch:
    """What has been found in one scan."""

    def __init__(self, context: Context, *, mends: bool) -> None:
        encoding = context.scan.encodings[0]
        self._context = context
        self._mends = mends
        self._weights = predictor(min(encoding.recon_fov_mm[0] / encoding.encoded_fov_mm[0], 1.0))
        self._open: dict[tuple[int, ...], _Hit] = {}
        self._readouts = 0
        self._hit = 0

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Look at a batch; say what is new."""
        return self.say(self.look(message), message.headers)

    def look(self, message: Readouts) -> Spikes:
        """Find the spikes of a batch that count."""
        noisy = has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        self._readouts += int((~noisy).sum())
        if noisy.all():
            return find_spikes(message.samples[:0], self._weights)
        return _used(find_spikes(message.aligned().samples, self._weights), message.headers, noisy)

    def say(self, found: Spikes, headers: NDArray[np.void]) -> Iterator[Flag]:
        """Say what is new of a frame, and all of it when the frame ends."""
        if len(found):
            yield from self._note(found, headers)
        if self._open and (headers["flags"] & ENDS_FRAME).any():
            yield from self._close()

    def close(self) -> Iterator[Flag]:
        """Say how many readouts of the scan were hit."""
        text = f"{self._hit} of {self._readouts} readouts have a spike"
        yield verdict(self._context, "spikes", self._hit, text, "readouts", advice=_advice(None))

    def _note(self, found: Spikes, headers: NDArray[np.void]) -> Iterator[Flag]:
        for readout in np.unique(found.readout).tolist():
            header = headers[readout]
            where = place(header)
            hit = self._open.setdefault(tuple(where.values()), _Hit(where))
            _add(hit, found, readout, header)
            self._hit += 1
        for hit in self._open.values():
            if not hit.told:
                yield self._flag(hit)

    def _close(self) -> Iterator[Flag]:
        """Say all of a frame that ends, where more was found than has been said."""
        for hit in self._open.values():
            if hit.told < len(hit.lines):
                yield self._flag(hit)
        self._open.clear()

    def _flag(self, hit: _Hit) -> Flag:
        hit.told = len(hit.lines)
        excess, line, coil, sample = hit.worst
        name, slice_ = label(self._context, coil), hit.where["slice"]
        mended = f"; {hit.samples} samples were interpolated" if self._mends else ""
        text = (
            f"{hit.told} readouts of slice {slice_} have a spike; worst: line {line}, {name}, sample {sample}, "
            f"{excess:.0f} times the noise above its neighbours{mended}"
        )
        evidence: dict[str, object] = {
            **hit.where, "line": line, "coil": coil, "label": name, "sample": sample, "lines": hit.lines[:MOST_LINES]
        }  # fmt: skip
        if self._mends:
            evidence["mended_samples"] = hit.samples
        return verdict(self._context, "spikes", hit.told, text, "readouts", evidence=evidence, advice=_advice(slice_))


def _used(found: Spikes, headers: NDArray[np.void], noisy: NDArray[np.bool_]) -> Spikes:
    """Leave out noise readouts, and samples that the header says to discard."""
    if not len(found):
        return found
    first = headers["discard_pre"][found.readout]
    last = headers["number_of_samples"][found.readout] - headers["discard_post"][found.readout]
    kept = ~noisy[found.readout] & (found.sample >= first) & (found.sample < last)
    return Spikes(found.readout[kept], found.coil[kept], found.sample[kept], found.excess[kept], found.expected[kept])


def _add(hit: _Hit, found: Spikes, readout: int, header: Record) -> None:
    here = np.flatnonzero(found.readout == readout)
    line = int(header["idx"]["kspace_encode_step_1"])
    worst = here[int(np.argmax(found.excess[here]))]
    hit.lines.append(line)
    hit.samples += len(here)
    hit.worst = max(hit.worst, (float(found.excess[worst]), line, int(found.coil[worst]), int(found.sample[worst])))


def _advice(slice_: int | None) -> str:
    again = "repeat the scan" if slice_ is None else f"repeat slice {slice_}"
    return f"{again}; if it comes again, look for loose metal and coil plugs, then call service"

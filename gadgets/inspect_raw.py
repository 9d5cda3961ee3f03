"""inspect: look at raw readouts as they arrive; what is not a number never reaches k-space."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gadgets.context import Context
from protocols.events import Severity
from protocols.messages import Failure, Message, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["inspect"]

CLIPPED = 3  # samples of one readout and coil at exactly its largest value: chance does not do that


def inspect(context: Context) -> Node:
    """Take out readouts with NaN or infinite samples, watch for saturation, stop at another coil or sample count.

    A readout taken out is a missing line later; every finding is a flag with its line, slice and coils. A receiver at
    the end of its range shows as several samples at exactly the largest value that the scan has had. A change of coils
    or samples in mid-scan is a Failure: what came before it is kept and finished, what comes after is not read.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        layout: tuple[int, ...] | None = None
        saturated, peak = 0, 0.0
        for message in messages:
            if not isinstance(message, Readouts) or not len(message.headers):
                yield message
                continue
            imaging = ~has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
            if imaging.any():
                layout = layout or message.samples.shape[1:]
                if message.samples.shape[1:] != layout:
                    yield Failure(_changed(message, layout))
                    return
            message, findings = _without_nan(message, context)
            yield from findings
            if not len(message.headers):
                continue
            clipped, peak = _clipped(message.samples, peak)
            if clipped.any():
                first = saturated == 0
                saturated += int(clipped.any(axis=1).sum())
                if first:
                    yield _saturation(context, message, clipped)
            yield message
        if saturated > 1:
            text = f"{saturated} readouts were saturated in this scan"
            yield context.flag("saturated_samples", Severity.FAIL, text, score=saturated, unit="readouts")

    return node


def _changed(message: Readouts, layout: tuple[int, ...]) -> str:
    coils, samples = message.samples.shape[1:]
    return (
        f"readout {int(message.headers['scan_counter'][0])} has {coils} coils x {samples} samples, the scan began with "
        f"{layout[0]} x {layout[1]}; what came before is kept, the rest is not read. Send one layout a connection"
    )


def _without_nan(message: Readouts, context: Context) -> tuple[Readouts, list[Message]]:
    with np.errstate(over="ignore", invalid="ignore"):
        sums = message.samples.sum(axis=(1, 2))
    good = np.isfinite(sums)
    if good.all():
        return message, []
    bad = message.headers[~good]
    idx = bad["idx"]
    flag = context.flag(
        "non_finite_samples",
        Severity.FAIL,
        f"{len(bad)} readouts hold NaN or infinite samples (first: line {int(idx['kspace_encode_step_1'][0])} of slice "
        f"{int(idx['slice'][0])}); they are not used",
        advice=f"repeat slice {int(idx['slice'][0])}",
        score=len(bad),
        unit="readouts",
        evidence={"slice": int(idx["slice"][0]), "lines": idx["kspace_encode_step_1"].tolist()},
    )
    kept = replace(
        message, headers=message.headers[good], trajectory=message.trajectory[good], samples=message.samples[good]
    )
    return kept, [flag]


def _clipped(samples: NDArray[np.complex64], peak: float) -> tuple[NDArray[np.bool_], float]:
    """Tell which (readout, coil) sit several times at exactly the scan's largest value so far, and what that is."""
    parts = np.abs(np.ascontiguousarray(samples).view(np.float32))
    largest = parts.max(axis=2)
    peak = max(peak, float(largest.max()))
    clipped = np.zeros(largest.shape, np.bool_)
    for readout, coil in zip(*np.nonzero((largest == np.float32(peak)) & (largest > 0)), strict=True):
        clipped[readout, coil] = np.count_nonzero(parts[readout, coil] == largest[readout, coil]) >= CLIPPED
    return clipped, peak


def _saturation(context: Context, message: Readouts, clipped: NDArray[np.bool_]) -> Message:
    readout = int(np.argmax(clipped.any(axis=1)))
    idx = message.headers["idx"][readout]
    coils = np.flatnonzero(clipped[readout]).tolist()
    labels = [context.scan.coil_labels[c] for c in coils if c < len(context.scan.coil_labels)]
    return context.flag(
        "saturated_samples",
        Severity.FAIL,
        f"the receiver was at the end of its range: line {int(idx['kspace_encode_step_1'])} of slice "
        f"{int(idx['slice'])}, coils {coils}",
        advice="lower the receiver gain and repeat the scan",
        score=len(coils),
        unit="coils",
        evidence={"slice": int(idx["slice"]), "line": int(idx["kspace_encode_step_1"]), "coils": coils}
        | ({"coil": ", ".join(labels)} if labels else {}),
    )

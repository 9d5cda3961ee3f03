"""whiten: make the noise of all coils independent and of variance one, as soon as the noise is known."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.linear.noise import whitener
from gadgets.context import Context
from protocols.events import Severity
from protocols.messages import Message, NoiseScan, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["whiten"]

USUAL_BANDWIDTH = 0.793  # receiver noise bandwidth by dwell bandwidth where the header does not tell (Siemens)


def whiten(context: Context) -> Node:
    """Take noise readouts out of the stream and whiten all others by what they tell.

    Noise comes from this scan's own noise readouts, or is kept from the earlier scan that the header names as its
    dependency. Without either, coils pass unwhitened and an UNKNOWN flag says so: SNR is then not known in absolute
    units. Dwell times and receiver bandwidth are taken into account (Kellman & McVeigh, Magn Reson Med 2005; 54:1439).
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        gathered: list[NDArray[np.complex64]] = []
        dwell_us = 0.0
        matrix: NDArray[np.complex64] | None = None
        settled = False
        for message in messages:
            if not isinstance(message, Readouts) or not len(message.headers):
                yield message
                continue
            noisy = has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
            if noisy.any():
                gathered.extend(np.array(message.samples[noisy]))
                dwell_us = float(message.headers["sample_time_us"][int(np.argmax(noisy))])
                settled = False
                if noisy.all():
                    continue
                message = _part(message, ~noisy)
            if not settled:
                settled = True
                noise = _own(gathered, dwell_us, context) if gathered else _kept(context, message.samples.shape[1])
                matrix = None
                if noise is None:
                    yield _unknown(context)
                else:
                    yield noise
                    matrix = _matrix(noise, message, context)
            yield message if matrix is None else replace(message, samples=matrix @ np.array(message.samples))

    return node


def _part(message: Readouts, which: NDArray[np.bool_]) -> Readouts:
    return replace(
        message,
        headers=message.headers[which],
        trajectory=message.trajectory[which],
        samples=message.samples[which],
    )


def _own(gathered: list[NDArray[np.complex64]], dwell_us: float, context: Context) -> NoiseScan:
    samples = np.concatenate(gathered, axis=1)
    covariance = (samples @ samples.conj().T / samples.shape[1]).astype(np.complex64)
    noise = NoiseScan(covariance, samples.shape[1], dwell_us, "this scan")
    if context.scan.measurement_id:
        context.memory.noise.put((context.scan.measurement_id,), replace(noise, source=context.scan.measurement_id))
    return noise


def _kept(context: Context, coils: int) -> NoiseScan | None:
    """Noise of the scan that this one depends on, if it is still known and has the same coils."""
    for measurement in context.scan.dependencies.values():
        noise = context.memory.noise.get((measurement,))
        if noise is not None and len(noise.covariance) == coils:
            return noise
    return None


def _matrix(noise: NoiseScan, message: Readouts, context: Context) -> NDArray[np.complex64]:
    dwell_us = float(message.headers["sample_time_us"][0])
    ratio = dwell_us / noise.dwell_us if dwell_us > 0 and noise.dwell_us > 0 else 1.0
    bandwidth = context.scan.relative_noise_bandwidth or USUAL_BANDWIDTH
    return whitener(noise.covariance, ratio * bandwidth)


def _unknown(context: Context) -> Message:
    named = ", ".join(context.scan.dependencies.values())
    text = f"the noise scan {named} is not known here" if named else "the scan has no noise readouts"
    return context.flag(
        "noise_unknown",
        Severity.UNKNOWN,
        f"{text}; coils are not whitened and SNR is not absolute",
        advice="let the protocol begin with a noise scan",
    )

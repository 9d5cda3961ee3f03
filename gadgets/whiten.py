"""whiten: make the noise of all coils independent and of variance one, as soon as the noise is known."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.linear.errors import LinearError
from engines.linear.noise import bandwidth_scale, covariance, whitener
from gadgets.context import Context
from protocols.events import Severity
from protocols.messages import Message, NoiseScan, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["whiten"]


def whiten(context: Context) -> Node:
    """Take noise readouts out of the stream and whiten all others by what they tell.

    Noise comes from this scan's own noise readouts, or is kept from the earlier scan that the header names as its
    dependency. Without either, coils pass unwhitened and an UNKNOWN flag says so: SNR is then not known in absolute
    units. Dwell times and receiver bandwidth are taken into account (Kellman & McVeigh, Magn Reson Med 2005; 54:1439).
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        bench = _Bench(context)
        for message in messages:
            if isinstance(message, Readouts) and len(message.headers):
                yield from bench.take(message)
            else:
                yield message

    return node


class _Bench:
    """Noise gathered so far, and the whitening matrix once it is known."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._gathered: list[NDArray[np.complex64]] = []
        self._dwell_us = 0.0
        self._settled = False
        self._matrix: NDArray[np.complex64] | None = None

    def take(self, message: Readouts) -> Iterator[Message]:
        """Keep noise, whiten the rest."""
        noisy = has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        if noisy.any():
            self._gathered.extend(np.array(message.samples[noisy]))
            self._dwell_us = float(message.headers["sample_time_us"][int(np.argmax(noisy))])
            self._settled = False
            if noisy.all():
                return
            message = message.part(~noisy)
        if not self._settled:
            self._settled = True
            noise, self._matrix, why = _learn(self._gathered, self._dwell_us, message, self._context)
            if noise is not None:
                yield noise
            if self._matrix is None:
                yield _unknown(self._context, why)
        if self._matrix is None:
            yield message
        else:
            samples = self._matrix @ message.aligned().samples
            yield Readouts(message.headers, message.trajectory, samples, message.arrived_ns)


def _learn(
    gathered: list[NDArray[np.complex64]], dwell_us: float, message: Readouts, context: Context
) -> tuple[NoiseScan | None, NDArray[np.complex64] | None, str]:
    """Noise and whitening matrix, or why there is none."""
    coils = message.samples.shape[1]
    try:
        noise = _own(gathered, dwell_us, context) if gathered else _kept(context, coils)
        if noise is None:
            named = ", ".join(context.scan.dependencies.values())
            why = f"the noise scan {named} is not known here" if named else "the scan has no noise readouts"
            return None, None, why
        if len(noise.covariance) != coils:
            return (
                replace(noise, whitened=False),
                None,
                f"the noise scan has {len(noise.covariance)} coils, the scan {coils}",
            )
        return noise, whitener(noise.covariance, _scale(noise, message, context)), ""
    except LinearError as error:
        return None, None, str(error)


def _own(gathered: list[NDArray[np.complex64]], dwell_us: float, context: Context) -> NoiseScan:
    samples = np.concatenate(gathered, axis=1)
    noise = NoiseScan(covariance(samples).astype(np.complex64), samples.shape[1], dwell_us, "this scan")
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


def _scale(noise: NoiseScan, message: Readouts, context: Context) -> float:
    """What dwell times and receiver bandwidth do to the noise; nothing where the headers do not tell."""
    dwell_us = float(message.headers["sample_time_us"][0])
    if dwell_us <= 0 or noise.dwell_us <= 0:
        return 1.0
    return bandwidth_scale(noise.dwell_us, dwell_us, context.scan.relative_noise_bandwidth or 1.0)


def _unknown(context: Context, why: str) -> Message:
    return context.flag(
        "noise_unknown",
        Severity.UNKNOWN,
        f"{why}; coils are not whitened and SNR is not absolute",
        advice="let the protocol begin with a noise scan",
    )

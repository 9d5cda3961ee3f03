"""reconstruct: from a frame to a complex image, by the method its lines allow; never silently by another."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.linear.calibration import Calibration
from engines.linear.errors import LinearError
from engines.linear.frame import Made, Method, make_image
from engines.linear.partial_fourier import PartialFourier, complete
from engines.linear.slab import flatten, own_slab, unflatten
from gadgets.context import Context
from protocols.events import Flag, Severity
from protocols.messages import Calibrated, Frame, Message, NoiseScan, Reconstruction
from protocols.stream import Node

__all__ = ["reconstruct"]

PATIENCE_S = 5.0  # for a calibration under way: a late image is of more use than an aliased one


def reconstruct(context: Context, method: Method = "auto", partial_fourier: PartialFourier = "pocs") -> Node:
    """Make every frame an image: inverse FFT, unfolding (live), exact columns, GRAPPA, or zero filling.

    `auto` uses unfolding where exactly an equispaced grid came, and solves every column with all lines otherwise. What
    cannot be done as asked is done as well as can be, and a flag on the image says what and why; a frame always leaves
    as an image. Partial Fourier frames are completed by `partial_fourier`. A 3-D frame leaves as one volume, of which
    encode step 2 is to be sampled fully; its noise is told of the middle partition.
    """

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        learning: dict[int, Future[object]] = {}
        noise = _Noise()
        for message in messages:
            if isinstance(message, Calibrated):
                learning[message.slice] = message.result
                yield message
            elif isinstance(message, Frame):
                slice_ = int(message.header["idx"]["slice"])
                yield _reconstruction(message, learning.get(slice_), noise, context, (method, partial_fourier))
            else:
                noise.whitened = noise.whitened or (isinstance(message, NoiseScan) and message.whitened)
                yield message

    return node


def _reconstruction(
    frame: Frame,
    learning: Future[object] | None,
    noise: "_Noise",
    context: Context,
    how: tuple[Method, PartialFourier],
) -> Reconstruction:
    began = time.perf_counter()
    calibration, late = _calibration(learning)
    made, failed = _made(frame, calibration, context, how)
    wrong = [reason for reason in (late, failed, made.fallback) if reason]
    flags = (*frame.flags, *(_fallback(context, frame, made.engine, reason) for reason in wrong))
    context.took("reconstruct", (time.perf_counter() - began) * 1e3)
    return Reconstruction(
        made.pixels if made.pixels.ndim == 3 else made.pixels[None],
        frame.header,
        frame.arrived_ns,
        made.engine,
        noise.std(made, frame),
        _details(frame, calibration),
        flags,
        source=frame,
        learned=calibration,
        begun=made.begun,
    )


def _calibration(learning: Future[object] | None) -> tuple[Calibration | None, str]:
    """What was learned for this slice, or why there is nothing; a worker still at it is waited for, within reason."""
    if learning is None:
        return None, ""
    try:
        found = learning.result(PATIENCE_S)
    except NotInTime:
        return None, f"calibration was not ready {PATIENCE_S:g} s after the last readout"
    except LinearError as error:
        return None, f"calibration failed: {error}"
    return (found, "") if isinstance(found, Calibration) else (None, "calibration failed")


def _made(
    frame: Frame, calibration: Calibration | None, context: Context, how: tuple[Method, PartialFourier]
) -> tuple[Made, str]:
    """An image by hook or by crook; zero filled, with the reason, where the method of choice fails."""
    partitions = frame.hybrid.shape[1]
    if partitions == 1:
        return _made_of(frame.hybrid[:, 0], frame.acquired[0], calibration, context, how)
    hybrid, acquired, lost = flatten(frame.hybrid, frame.acquired, context.helpers)
    method, partial = how
    if method == "grappa":
        method, lost = "auto", lost or "GRAPPA is not known of slabs"
    try:
        calibration = calibration or own_slab(frame.hybrid, frame.acquired)
    except (LinearError, np.linalg.LinAlgError) as error:
        lost = lost or str(error)
    made, failed = _made_of(hybrid, acquired, calibration, context, (method, partial))
    noise_std = None if made.noise_std is None else unflatten(made.noise_std, partitions)[partitions // 2]
    return replace(made, pixels=unflatten(made.pixels, partitions), noise_std=noise_std), failed or lost


def _made_of(
    hybrid: NDArray[np.complex64],
    acquired: NDArray[np.bool_],
    calibration: Calibration | None,
    context: Context,
    how: tuple[Method, PartialFourier],
) -> tuple[Made, str]:
    """The image (y, x) of lines (coil, line, x), and why it is not what was asked for."""
    method, partial = how
    if calibration is not None and calibration.maps.shape != hybrid.shape:
        calibration = None
    try:
        made = make_image(hybrid, acquired, calibration, method, context.helpers)
    except (LinearError, np.linalg.LinAlgError) as error:
        return make_image(hybrid, acquired, None, "zero_filled"), str(error)
    if made.engine == "zero filled" and made.fallback:
        return made, ""
    try:
        return replace(made, pixels=complete(made.pixels, acquired, partial)), ""
    except LinearError as error:
        return made, f"not completed: {error}"


def _fallback(context: Context, frame: Frame, engine: str, reason: str) -> Flag:
    slice_ = int(frame.header["idx"]["slice"])
    return context.flag(
        "fallback",
        Severity.FAIL if engine == "zero filled" else Severity.WARN,
        f"slice {slice_} was made by '{engine}': {reason}",
        advice="do not read this image without the flag in mind",
        evidence={"slice": slice_, "engine": engine},
    )


class _Noise:
    """Expected noise of the real part of every pixel; the same map again for frames that were made alike."""

    def __init__(self) -> None:
        self.whitened = False
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def std(self, made: Made, frame: Frame) -> NDArray[np.float32] | None:
        """None where noise is not known in absolute units."""
        if made.noise_std is None or not self.whitened:
            return None
        if self._last is None or self._last[0] is not made.noise_std:
            self._last = made.noise_std, made.noise_std * np.float32((0.5 / frame.averages) ** 0.5)
        return self._last[1]


def _details(frame: Frame, calibration: Calibration | None) -> dict[str, str]:
    acquired = int(frame.acquired.sum())
    total = frame.acquired.size
    return {
        "Lines": f"{acquired} of {total}",
        "Coils": str(frame.hybrid.shape[0]),
        "Calibration": "none" if calibration is None else f"{calibration.lines.shape[1]} lines",
        "FrameLeftBy": frame.reason,
    }

"""coils: dead, weak, noisy and correlated coils, from the noise readouts and the first lines with signal."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engines.quality.coils import DEAD_DB, closest_pair, in_db, level_db
from gadgets.context import Context
from gadgets.raw_verdict import behind, label, verdict
from protocols.events import Flag, Severity
from protocols.messages import Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["coils"]

ENOUGH_NOISE = 2048  # samples of each coil: a level is known to 0.1 dB, a correlation to 0.02
FIRST_LINES = 8
STRONG = 100.0**2  # power by noise that the median coil must show before a silent coil is called so


def coils(context: Context) -> Node:
    """Compare the coils of the array: noise, its correlation, and whether each hears what the others hear.

    `coil_gain`: noise of a coil below the median coil's, in dB: the gain fell behind the coil (-6 dB: half), or nothing
    is connected. `coil_noise`: noise above it. `coil_correlation`: two coils with the same noise are one signal on two
    plugs, or are coupled. `coil_signal`: a coil whose first lines hold noise alone. What cannot be told: a coil that
    lost half its signal and none of its noise, since how much signal is normal depends on where the coil lies.
    """
    return behind(lambda: _Bench(context))


class _Bench:
    """What is known of each coil so far."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._gathered: list[NDArray[np.complex64]] = []
        self._samples = 0
        self._noise: NDArray[np.floating] | None = None
        self._peak: NDArray[np.float32] | None = None
        self._lines = 0
        self._heard = False

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Gather noise, then judge it; look at the first lines, then judge them."""
        noisy = has_flag(message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        if noisy.any() and self._samples < ENOUGH_NOISE:
            noise = np.concatenate(list(message.samples[noisy]), axis=1)[:, : ENOUGH_NOISE - self._samples]
            self._gathered.append(noise)
            self._samples += noise.shape[1]
        if noisy.all() or self._heard:
            return
        if self._noise is None:
            yield from self._judge_noise(message.samples.shape[1])
        if not self._heard:
            yield from self._listen(message.samples[~noisy] if noisy.any() else message.samples)

    def close(self) -> Iterator[Flag]:
        """Say it when there was nothing to judge silent coils by."""
        if not self._heard and self._noise is not None:
            text = f"the signal of {self._lines} lines was too weak to tell a silent coil"
            yield self._context.flag("coil_signal", Severity.UNKNOWN, text)

    def _judge_noise(self, count: int) -> Iterator[Flag]:
        """Judge noise of this scan; that of an earlier one was judged there and only serves to judge the signal."""
        if self._gathered and len(self._gathered[0]) == count:
            gathered = np.concatenate(self._gathered, axis=1)
            covariance = gathered @ gathered.conj().T / gathered.shape[1]
            self._gathered.clear()
            self._noise = np.real(np.diag(covariance))
            yield from self._judge_levels(in_db(self._noise))
            yield from self._judge_pair(covariance)
            return
        self._noise = _kept(self._context, count)
        if self._noise is None:
            self._heard = True
            text = "there is no noise scan of these coils: dead, weak, noisy and correlated coils cannot be told"
            yield self._context.flag("coil_noise", Severity.UNKNOWN, text, advice="let the protocol begin with one")

    def _judge_levels(self, level: NDArray[np.float64]) -> Iterator[Flag]:
        weak, loud = (
            "noise of {} is {:.1f} dB below the median coil's",
            "noise of {} is {:.1f} dB above the median coil's",
        )
        plug = "check the plug of {}, and leave the coil out if it stays so"
        yield from self._judge_each("coil_gain", level, (weak, plug))
        yield from self._judge_each("coil_noise", level, (loud, "check plug and cable of {}, and what lies near it"))

    def _judge_each(self, code: str, level: NDArray[np.float64], words: tuple[str, str]) -> Iterator[Flag]:
        """One flag a coil that breaks the limit, or one for all, with the coil that comes nearest to it."""
        limit = self._context.protocol.limits.get(code)
        highest = code == "coil_noise"
        extreme = int(np.argmax(level) if highest else np.argmin(level))
        broken = [] if limit is None else [n for n, db in enumerate(level) if limit.judge(db).broken]
        for coil in broken or [extreme]:
            name, db = label(self._context, coil), float(level[coil])
            said = f"{name} is dead" if db < DEAD_DB else words[0].format(name, abs(db))
            where: dict[str, object] = {"coil": coil, "label": name}
            yield verdict(self._context, code, db, said, "dB", evidence=where, advice=words[1].format(name))

    def _judge_pair(self, covariance: NDArray[np.complexfloating]) -> Iterator[Flag]:
        pair = closest_pair(covariance)
        if pair is None:
            return
        names = [label(self._context, coil) for coil in (pair.first, pair.second)]
        text = f"noise of {names[0]} and {names[1]} correlates by {pair.correlation:.2f}"
        where: dict[str, object] = {"coils": [pair.first, pair.second], "label": ", ".join(names)}
        advice = f"check the plugs of {names[0]} and {names[1]}, and whether the two touch"
        yield verdict(self._context, "coil_correlation", pair.correlation, text, "1", evidence=where, advice=advice)

    def _listen(self, samples: NDArray[np.complex64]) -> Iterator[Flag]:
        power = np.square(samples.real).max(axis=(0, 2)) + np.square(samples.imag).max(axis=(0, 2))
        self._peak = power if self._peak is None else np.maximum(self._peak, power)
        self._lines += len(samples)
        noise = self._noise
        if self._lines < FIRST_LINES or noise is None or not noise.any():
            return
        if np.median(self._peak[noise > 0] / noise[noise > 0]) < STRONG:
            return
        self._heard = True
        text = "signal by noise of {} is {:.1f} dB from the median coil's"
        level = level_db(self._peak, noise)
        yield from self._judge_each("coil_signal", level, (text, "check that {} is plugged in and selected"))


def _kept(context: Context, count: int) -> NDArray[np.floating] | None:
    """Noise power (coil,) of the scan that this one depends on."""
    for measurement in context.scan.dependencies.values():
        noise = context.memory.noise.get((measurement,))
        if noise is not None and len(noise.covariance) == count:
            return np.real(np.diag(noise.covariance))
    return None

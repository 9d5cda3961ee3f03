"""phase: drift and jumps of phase, and shifts of the echo, from lines of k-space that come again and again."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.quality.drift import Change, FirstLine, Trend, compare, first_line, trend
from gadgets.context import Context
from gadgets.raw_verdict import behind, place, verdict
from protocols.events import Flag, Severity
from protocols.lattice import Lattice
from protocols.messages import Readouts, Record
from protocols.mrd import SERVICE, AcqFlag, flag_mask
from protocols.stream import Node

__all__ = ["phase"]

NAVIGATES = flag_mask(AcqFlag.IS_NAVIGATION_DATA, AcqFlag.IS_PHASE_STABILIZATION)
OTHER = flag_mask(
    AcqFlag.IS_NOISE_MEASUREMENT,
    AcqFlag.IS_PARALLEL_CALIBRATION,
    *SERVICE,
    AcqFlag.IS_PHASE_STABILIZATION_REFERENCE,
)
STEPS = ("kspace_encode_step_1", "kspace_encode_step_2")
BACKWARDS = flag_mask(AcqFlag.IS_REVERSE)
MOST_COILS = 8  # phase and echo are those of all, and a transform costs time
MOST_LINES = 12  # of one batch
MOST_SERIES = 128  # lines that are remembered
MOST_POINTS = 4096  # of a series; what comes later is not looked at
ALIKE = 0.5  # likeness below which a line has another content, and no phase to speak of
LEAST_POINTS, LEAST_JITTER = 3, 8  # before a drift, and before a jitter, is told
FIELD = "let the magnet settle or shim again, and repeat the scan; if it comes again, call service"
SHOTS = "ask whether the patient moved; if it comes again, call service: phase differs from shot to shot"
GRADIENT = "repeat the scan; if it comes again, call service: a gradient or its delay has changed"


def phase(context: Context) -> Node:
    """Follow the line through the centre of k-space from one repetition or average to the next, and navigators.

    `phase_drift`: how far the field has drifted over the scan, in Hz, from the phase at the echo time; spin echoes
    refocus that, and hide it. `phase_jitter`: standard deviation of the phase from shot to shot about that drift, in
    degrees. `echo_shift`: the largest shift of the echo along the readout, in samples. All coils count by their power,
    slices by their median, so that what flows or moves in one of them is no drift. Each is told at the end. UNKNOWN is
    a scan with repetitions, averages or navigators in which no line came three times; of others nothing is said.
    """
    return behind(lambda: _Watch(context))


@dataclass(slots=True)
class _Series:
    """One line of k-space each time it came."""

    first: FirstLine
    where: dict[str, int]
    te_ms: float
    times: list[float]
    phases: list[float] = field(default_factory=lambda: [0.0])
    shift: float = 0.0  # the largest


class _Watch:
    """The lines of one scan that come again."""

    def __init__(self, context: Context) -> None:
        encoding = context.scan.encodings[0]
        self._context = context
        self._series: dict[tuple[int, ...], _Series] = {}
        self._began: tuple[int, int] | None = None
        self._unlike = 0
        lattice = Lattice.of(encoding)
        centres = (lattice.limit1.centre, lattice.limit2.centre)
        self._central = [  # first and number of further steps that are near the centre, by name of the counter
            (name, np.uint16(max(centre - step // 2, 0)), np.uint16(step // 2 * 2))
            for name, centre, step in zip(STEPS, centres, encoding.acceleration, strict=True)
        ]

    def take(self, message: Readouts) -> Iterator[Flag]:
        """Compare the lines of a batch that may come again with how they were first."""
        headers = message.headers
        every = -(-message.samples.shape[1] // MOST_COILS)
        for n in self._wanted(headers).nonzero()[0][:MOST_LINES].tolist():
            self._look(headers[n], np.require(message.samples[n, ::every], requirements=["C", "A"]))
        yield from ()

    def close(self) -> Iterator[Flag]:
        """Say how phase and echo went."""
        judged = [series for series in self._series.values() if len(series.times) >= LEAST_POINTS]
        if judged:
            yield self._drift(judged)
            yield self._jitter([series for series in judged if len(series.times) >= LEAST_JITTER])
            yield self._echo(judged)
        elif self._promised():
            why = f"; {self._unlike} that came again were unlike the first" if self._unlike else ""
            text = f"no line of k-space came {LEAST_POINTS} times or more{why}: drifts cannot be told"
            yield self._context.flag("phase_drift", Severity.UNKNOWN, text)

    def _promised(self) -> bool:
        """Whether the scan has lines that should have come again."""
        limits = self._context.scan.encodings[0].limits
        again = (limits.get(name) for name in ("repetition", "average"))
        repeats = any(limit is not None and limit.maximum > limit.minimum for limit in again)
        return bool(self._series) and (repeats or any(key[0] & int(NAVIGATES) for key in self._series))

    def _wanted(self, headers: NDArray[np.void]) -> NDArray[np.bool_]:
        """Tell which readouts (readout,) are navigators, or the line nearest to the centre of k-space."""
        flags, idx = headers["flags"], headers["idx"]
        wanted = (flags & OTHER) == 0
        for name, first, further in self._central:
            wanted &= idx[name] - first <= further  # unsigned: what lies before the first is far away
        wanted |= (flags & NAVIGATES) != 0
        return wanted

    def _look(self, header: Record, line: NDArray[np.complex64]) -> None:
        idx = header["idx"]
        kind = int(header["flags"] & (NAVIGATES | BACKWARDS))
        names = ("slice", "contrast", "phase", "set", *STEPS)
        key = (kind, line.shape[1], *(int(idx[name]) for name in names))
        series = self._series.get(key)
        when = self._when(header)
        if series is None:
            if len(self._series) < MOST_SERIES and line.any():
                where = {**place(header), "line": int(idx["kspace_encode_step_1"])}
                self._series[key] = _Series(first_line(line), where, self._te_ms(int(idx["contrast"])), [when])
            return
        made = compare(line, series.first)
        if made.likeness < ALIKE:
            self._unlike += 1
        elif len(series.times) < MOST_POINTS:
            _add(series, when, made)

    def _when(self, header: Record) -> float:
        """Time of a readout in any unit: its stamp, or its number where stamps stand still."""
        stamp, number = int(header["acquisition_time_stamp"]), int(header["scan_counter"])
        self._began = self._began or (stamp, number)
        return float(stamp - self._began[0]) + 1e-6 * (number - self._began[1])

    def _te_ms(self, contrast: int) -> float:
        times = self._context.scan.te_ms
        return times[contrast] if contrast < len(times) else 0.0

    def _drift(self, judged: list[_Series]) -> Flag:
        known = [series for series in judged if series.te_ms > 0]
        if not known:
            text = "the header names no echo time, so a drift of phase cannot be told as one of the field"
            return self._context.flag("phase_drift", Severity.UNKNOWN, text)
        drifts = [_trend(series).whole_rad / (2 * np.pi * series.te_ms * 1e-3) for series in known]
        hertz = float(np.median(drifts))
        text = (
            f"the phase of {len(known)} lines drifts as by {hertz:+.1f} Hz of the field from their first to their last"
        )
        where: dict[str, object] = {"drift_hz": round(hertz, 2), "times": max(len(s.times) for s in known)}
        return verdict(self._context, "phase_drift", abs(hertz), text, "Hz", evidence=where, advice=FIELD)

    def _jitter(self, judged: list[_Series]) -> Flag:
        if not judged:
            text = f"no line of k-space came {LEAST_JITTER} times or more: jumps of phase cannot be told"
            return self._context.flag("phase_jitter", Severity.UNKNOWN, text)
        degrees = float(np.degrees(np.median([_trend(series).jitter_rad for series in judged])))
        text = f"the phase of the same line differs by {degrees:.2f} degrees from shot to shot"
        where: dict[str, object] = {"times": max(len(series.times) for series in judged)}
        return verdict(self._context, "phase_jitter", degrees, text, "deg", evidence=where, advice=SHOTS)

    def _echo(self, judged: list[_Series]) -> Flag:
        worst = max(judged, key=lambda series: abs(series.shift))
        text = f"the echo shifts by {worst.shift:+.3f} samples at most, in slice {worst.where['slice']}"
        where: dict[str, object] = {**worst.where, "shift": round(worst.shift, 4)}
        return verdict(self._context, "echo_shift", abs(worst.shift), text, "samples", evidence=where, advice=GRADIENT)


def _add(series: _Series, when: float, made: Change) -> None:
    series.times.append(when)
    series.phases.append(made.phase_rad)
    if abs(made.shift) > abs(series.shift):
        series.shift = made.shift


def _trend(series: _Series) -> Trend:
    return trend(np.array(series.times), np.array(series.phases))

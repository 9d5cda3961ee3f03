"""The scanner: from a scan protocol's [simulate] table to the messages that a scanner sends."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.coils import Array
from hw_sim.devices import STILL, Motion, Pose, carried
from hw_sim.frontend import Frontend
from hw_sim.paperwork import Order, first_line, headers, scan_of
from hw_sim.planes import Plane, planes
from hw_sim.sequencer import Kind, Lines, acquired_lines, plan
from hw_sim.signal import Patient, slab_kspace, slice_image, slice_kspace
from hw_sim.tissue import Contrast, contrast
from protocols.messages import Readouts
from protocols.scan import Scan
from protocols.simulate import Simulate

__all__ = ["BLOCK", "Played", "Scanner"]

BLOCK: Final = 64  # readouts that are made at once
POSE_EVERY_NS: Final = 100_000_000  # a moving patient is looked at ten times a second
SLAB_EVERY_NS: Final = 1_000_000_000  # in a 3-D scan, where a look costs seconds, once a second
PEAK: Final = 0.25  # of the ADC's range that the strongest sample of the middle slice reaches


@dataclass(frozen=True, slots=True, eq=False)
class Scanner:
    """Magnet, coils and patient; prepares scans, which are then played."""

    patient: Patient
    coils: Array
    motion: Motion = STILL
    seed: int = 1

    def prepare(self, simulate: Simulate, order: Order) -> "Played":
        """Make everything that is known before the first readout."""
        where = planes(simulate)
        lines = acquired_lines(simulate)
        what = plan(simulate, len(where), order.only)
        labels = self.coils.labels
        weight = contrast(simulate, len(where))
        worn = replace(self, coils=self.coils.around(order.patient_position))
        source = _Source(worn, simulate, where, lines, weight)
        every_ns = POSE_EVERY_NS if simulate.partitions == 1 else SLAB_EVERY_NS
        times_ns = np.arange(len(what)) * round(simulate.tr_ms * 1e6) // every_ns * every_ns
        return Played(
            scan=scan_of(simulate, lines, len(where), labels, order),
            plan=what,
            headers=headers(what, simulate, where, len(labels), first_line(lines), order),
            poses=tuple(self._pose(int(time_ns), order) for time_ns in times_ns),
            tr_ms=simulate.tr_ms,
            frontend=source.frontend(self._pose(0, order)),
            source=source,
        )

    def _pose(self, time_ns: int, order: Order) -> Pose:
        """Where the patient is at a moment, on a table that stands where it is ordered to."""
        return carried(self.motion.at(time_ns), order.table.position_mm, order.patient_position)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A scan that is ready to be played, as often as one likes, each time alike."""

    scan: Scan
    plan: NDArray[np.void]  # (readout,) of sequencer.PLAN
    headers: NDArray[np.void]  # (readout,) of mrd.ACQUISITION
    poses: tuple[Pose, ...]  # (readout,) where the patient is
    tr_ms: float
    frontend: Frontend
    source: "_Source"

    def readouts(self) -> Iterator[Readouts]:
        """Yield the readouts in true order, in blocks of at most BLOCK."""
        chance = np.random.default_rng(self.source.scanner.seed)
        for begin in range(0, len(self.plan), BLOCK):
            block = slice(begin, begin + BLOCK)
            heads = self.headers[block]
            signal = self.source.signal(self.plan[block], self.poses[block])
            samples = self.frontend.receive(signal, chance)
            yield Readouts(heads, np.zeros((len(heads), samples.shape[2], 0), np.float32), samples)


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What the coils would see of each readout; slices are computed when first needed and kept."""

    scanner: Scanner
    simulate: Simulate
    planes: tuple[Plane, ...]
    lines: Lines
    weight: Contrast
    kept: "OrderedDict[tuple[int, Pose], NDArray[np.complex64]]" = field(default_factory=OrderedDict)

    def _first_sample(self) -> int:
        samples = self.simulate.matrix[0] * self.simulate.oversampling
        return samples - round(samples * self.simulate.echo_fraction)

    def _rows(self, number: int, pose: Pose) -> NDArray[np.complex64]:
        """Acquired rows (row, coil, sample) of a slice, or of a slab line by line, with the patient in a pose."""
        if (number, pose) not in self.kept:
            kspace = self._kspace(_on_table(self.planes[number], pose), pose)[
                :, self.lines.imaging, :, self._first_sample() :
            ]
            rows = kspace.reshape(len(kspace), -1, kspace.shape[-1]).swapaxes(0, 1)
            self.kept[number, pose] = np.ascontiguousarray(rows)
            while len(self.kept) > len(self.planes) + 4:
                self.kept.popitem(last=False)
        return self.kept[number, pose]

    def _kspace(self, plane: Plane, pose: Pose) -> NDArray[np.complex64]:
        """K-space (coil, line, partition, sample) of a slice or a slab, all lines."""
        patient, coils = self.scanner.patient, self.scanner.coils
        if self.simulate.partitions > 1:
            return slab_kspace(patient, plane, coils, self.simulate, self.weight, pose).swapaxes(1, 2)
        viewed = slice_image(patient, plane, self.simulate, self.weight, pose)
        return slice_kspace(viewed, plane, coils, self.simulate)[:, :, None]

    def signal(self, wanted: NDArray[np.void], poses: tuple[Pose, ...]) -> NDArray[np.complex64]:
        """Noise-free samples (readout, coil, sample) of readouts of the plan, each with its pose."""
        samples = self.simulate.matrix[0] * self.simulate.oversampling - self._first_sample()
        signal = np.zeros((len(wanted), len(self.scanner.coils.gains), samples), np.complex64)
        row_of = partial(np.searchsorted, self.lines.imaging)
        for n, (shot, pose) in enumerate(zip(wanted, poses, strict=True)):
            if shot["kind"] != Kind.NOISE:
                row = row_of(shot["line"]) * self.simulate.partitions + shot["partition"]
                signal[n] = self._rows(int(shot["slice"]), pose)[row]
        return signal

    def frontend(self, pose: Pose) -> Frontend:
        """Adjust noise and gain on the middle slice, as a scanner's prescan does, with the patient in a pose."""
        middle = len(self.planes) // 2
        peak = float(np.abs(self._rows(middle, pose)).max())
        noise = self._noise_std(_on_table(self.planes[middle], pose), pose) if self.simulate.snr else 0.0
        gain = PEAK / max(peak, 4 * noise, 1e-12)
        return Frontend(self.scanner.coils.covariance, noise, gain)

    def _noise_std(self, plane: Plane, pose: Pose) -> float:
        """Noise that gives the wanted signal-to-noise ratio; Roemer et al., Magn Reson Med 1990; 16:192."""
        viewed = slice_image(self.scanner.patient, plane, self.simulate, self.weight, pose)
        coarse = (viewed.signal[::8, ::8], viewed.u_mm[::8], viewed.v_mm[::8])
        seen = coarse[0] * self.scanner.coils.on_plane(plane, *coarse[1:])
        flat = seen.reshape(len(seen), -1)
        power = np.einsum("cp,cp->p", flat.conj(), np.linalg.solve(self.scanner.coils.covariance, flat)).real
        level = np.sqrt(np.maximum(power, 0))
        inside = np.abs(coarse[0]).ravel() > 0.1 * np.abs(coarse[0]).max(initial=1e-12)
        return float(np.median(level[inside])) / (self.simulate.snr or np.inf) if inside.any() else 1e-6


def _on_table(plane: Plane, pose: Pose) -> Plane:
    """A plane as patient and coils see it, which the table has carried along."""
    x, y, z = plane.centre_mm
    return replace(plane, centre_mm=(x, y, z - pose.table_mm))

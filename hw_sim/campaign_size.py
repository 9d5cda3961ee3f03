"""How large a fault is in the scan that it hits, by the truth: what is too small to matter need not be found."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.faults import Staged
from hw_sim.scanner import Played
from hw_sim.sequencer import Kind
from hw_sim.signal import slice_image
from protocols.mrd import CALIBRATION, has_flag

__all__ = ["SCALES", "Scale", "beyond_mm", "changed", "scale_of", "size_of", "torn"]

SHOWS: Final = 0.1  # of the bright tissue of a slice, above which something is seen where it folds in
MOVED: Final = ("motion", "cough", "breathing", "table_shift", "wrong_calibration")


@dataclass(frozen=True, slots=True)
class Scale:
    """In what the size of a fault counts, from where on it matters, and where a table of sizes is cut."""

    unit: str
    matters: float = 0.0
    cuts: tuple[float, ...] = ()

    def bin_of(self, size: float) -> int:
        """Which part of the table a size belongs to, 0 is the smallest."""
        return sum(size >= cut for cut in self.cuts)

    def named(self, part: int) -> str:
        """What a part of the table is called."""
        if part == 0:
            return f"below {self.cuts[0]:g} {self.unit}"
        if part == len(self.cuts):
            return f"from {self.cuts[-1]:g} {self.unit}"
        return f"{self.cuts[part - 1]:g} to {self.cuts[part]:g} {self.unit}"


SCALES: Final[Mapping[str, Scale]] = MappingProxyType({
    "spike": Scale("σ above its neighbours", 10.0, (10.0, 30.0)),
    "noise_rise": Scale("dB", 0.0, (8.0, 10.0)),
    "phase_instability": Scale("deg", 0.0, (15.0, 25.0)),
    "wrap": Scale("mm beyond the field of view", 5.0, (5.0, 15.0)),
    **dict.fromkeys(MOVED, Scale("% of the signal of the lines hit", 6.0, (6.0, 15.0))),
})  # fmt: skip


def scale_of(fault: str) -> Scale | None:
    """The scale of a fault; None of one that is all or nothing."""
    return SCALES.get(fault)


def size_of(staged: Staged) -> float | None:
    """Size of the first fault of a scan that has been read; None where it has no scale."""
    if not staged.steps or staged.truths[0].fault not in SCALES:
        return None
    truth, step = staged.truths[0], staged.steps[0]
    if truth.fault in MOVED:
        return changed(step.after)
    if truth.fault == "wrap":
        return beyond_mm(staged.played)
    if truth.fault == "spike":
        return float(truth.keys.get("above", 0.0))
    return 20 * log10(truth.strength) if truth.fault == "noise_rise" else truth.strength


def changed(scan: Played) -> float:
    """Amplitude (%) by which a patient who lies elsewhere changes the signal of lines, in the frame that it hits most.

    Lines are compared with what they would be where the patient lay at the calibration lines of the slice, or in the
    middle of the frame's k-space where it has none: with those the image is consistent.
    """
    made = scan.plan["kind"] == Kind.IMAGING
    frames = scan.plan[["slice", "repetition", "average"]]
    numbers = (np.flatnonzero(made & (frames == frame)) for frame in np.unique(frames[made]))
    return max(_of_frame(scan, frame) for frame in numbers)


def _of_frame(scan: Played, numbers: NDArray[np.intp]) -> float:
    reference = scan.poses[_reference(scan, numbers)]
    hit = np.array([n for n in numbers.tolist() if scan.poses[n] != reference], np.intp)
    if not len(hit):
        return 0.0
    plan = scan.plan[hit]
    now = scan.source.signal(plan, tuple(scan.poses[n] for n in hit.tolist()))
    then = scan.source.signal(plan, (reference,) * len(hit))
    return 100 * float(np.linalg.norm(now - then)) / max(float(np.linalg.norm(then)), 1e-30)


def _reference(scan: Played, numbers: NDArray[np.intp]) -> int:
    """Number of the readout that says where the object of a frame lies: the middle one of those it is compared with."""
    apart = np.flatnonzero(
        (scan.plan["kind"] == Kind.REFERENCE) & (scan.plan["slice"] == scan.plan["slice"][numbers[0]])
    )
    within = numbers[has_flag(scan.headers["flags"][numbers], *CALIBRATION)]
    known = next(group for group in (apart, within, numbers) if len(group))
    return int(known[len(known) // 2])


def torn(scan: Played) -> bool:
    """Whether the patient moved amid the calibration lines of a frame, so that they do not fit each other."""
    known = has_flag(scan.headers["flags"], *CALIBRATION)
    frames = scan.plan[["slice", "repetition", "average"]]
    own = [np.flatnonzero(known & (frames == frame)).tolist() for frame in np.unique(frames[known])]
    return any(len({scan.poses[n] for n in numbers}) > 1 for numbers in own)


def beyond_mm(scan: Played) -> float:
    """How far what shows in a scan reaches beyond the field of view along phase encoding, in the worst slice."""
    source = scan.source
    simulate = source.simulate
    wide = simulate.model_copy(update={"fov_mm": (simulate.fov_mm[0], 2 * simulate.fov_mm[0])})
    farthest = [
        _farthest(np.abs(viewed.signal), viewed.v_mm)
        for viewed in (slice_image(source.scanner.patient, plane, wide, source.weight) for plane in source.planes)
    ]
    return max(farthest) - simulate.fov_mm[1] / 2


def _farthest(shown: NDArray[np.floating], along_mm: NDArray[np.float64]) -> float:
    bright = SHOWS * float(np.percentile(shown[shown > 0], 98)) if shown.any() else np.inf
    rows = np.abs(along_mm[(shown > bright).any(axis=1)])
    return float(rows.max(initial=0.0))

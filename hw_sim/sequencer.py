"""What is measured when: the readouts of a scan in their true order, with their true flags."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.mrd import AcqFlag, flag_mask
from protocols.simulate import Simulate

__all__ = ["PLAN", "Kind", "Lines", "acquired_lines", "plan"]


class Kind(IntEnum):
    """Why a readout is made."""

    NOISE = 0
    REFERENCE = 1  # calibration apart from imaging
    IMAGING = 2
    NAVIGATOR = 3  # the same line again and again, to see whether the patient lies still


PLAN: Final = np.dtype(
    [
        ("kind", "i1"),
        ("slice", "i4"),
        ("line", "i4"),  # row of the full phase-encode matrix
        ("partition", "i4"),  # row along encode step 2
        ("average", "i4"),
        ("repetition", "i4"),
        ("flags", "u8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Lines:
    """Rows of the phase-encode matrix that a scan acquires, and what they are for."""

    grid: NDArray[np.intp]
    calibration: NDArray[np.intp]

    @property
    def imaging(self) -> NDArray[np.intp]:
        """All rows of the imaging part if calibration is embedded."""
        return np.union1d(self.grid, self.calibration)


def acquired_lines(simulate: Simulate) -> Lines:
    """Every n-th row through k = 0, without the early rows that partial Fourier leaves out; rows around k = 0."""
    count = simulate.matrix[1]
    first = count - round(count * simulate.partial_fourier)
    rows = np.arange(first, count)
    grid = rows[(rows - count // 2) % simulate.acceleration == 0]
    begin = count // 2 - simulate.calibration_lines // 2
    band = np.arange(begin, begin + simulate.calibration_lines)
    wanted = simulate.calibration != "none"
    return Lines(grid, band[(band >= 0) & (band < count)] if wanted else band[:0])


def _loop(kind: Kind, **counters: NDArray[np.intp]) -> NDArray[np.void]:
    """Nested loops over counters, the last one fastest."""
    grids = np.meshgrid(*counters.values(), indexing="ij")
    part = np.zeros(grids[0].size, PLAN)
    part["kind"] = kind
    for name, grid in zip(counters, grids, strict=True):
        part[name] = grid.ravel()
    return part


def _mark_edges(part: NDArray[np.void], by: tuple[str, ...], first: AcqFlag, last: AcqFlag) -> None:
    """Flag the first and the last readout of each group of equal counters, in place."""
    groups = np.unique(part[list(by)], return_inverse=True)[1].ravel()
    numbers = np.arange(len(part))
    ends = np.zeros(groups.max() + 1, np.intp)
    np.maximum.at(ends, groups, numbers)
    begins = np.full(groups.max() + 1, len(part))
    np.minimum.at(begins, groups, numbers)
    part["flags"][begins] |= flag_mask(first)
    part["flags"][ends] |= flag_mask(last)


def _imaging(simulate: Simulate, slices: NDArray[np.intp]) -> NDArray[np.void]:
    lines = acquired_lines(simulate)
    embedded = simulate.calibration == "embedded"
    rows = lines.imaging if embedded else lines.grid
    if simulate.partitions > 1 and embedded:  # the middle of k-space first: there is time to learn from it
        rows = np.concatenate((lines.calibration, np.setdiff1d(rows, lines.calibration)))
    over = {
        "repetition": np.arange(simulate.repetitions),
        "slice": slices,
        "average": np.arange(simulate.averages),
        "line": rows,
        "partition": np.arange(simulate.partitions),
    }
    order = ("repetition", "average", "line", "slice", "partition") if simulate.interleaved else tuple(over)
    part = _loop(Kind.IMAGING, **{name: over[name] for name in order})
    if embedded:
        is_calibration = np.isin(part["line"], lines.calibration)
        on_grid = np.isin(part["line"], lines.grid)
        both = flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
        part["flags"][is_calibration & on_grid] |= both
        part["flags"][is_calibration & ~on_grid] |= flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION)
    frame = ("slice", "repetition")
    _mark_edges(part, frame, AcqFlag.FIRST_IN_SLICE, AcqFlag.LAST_IN_SLICE)
    step1 = (*frame, "average", "partition")
    _mark_edges(part, step1, AcqFlag.FIRST_IN_ENCODE_STEP1, AcqFlag.LAST_IN_ENCODE_STEP1)
    if simulate.partitions > 1:
        step2 = (*frame, "average", "line")
        _mark_edges(part, step2, AcqFlag.FIRST_IN_ENCODE_STEP2, AcqFlag.LAST_IN_ENCODE_STEP2)
    _mark_edges(part, (*frame, "average"), AcqFlag.FIRST_IN_AVERAGE, AcqFlag.LAST_IN_AVERAGE)
    _mark_edges(part, ("repetition",), AcqFlag.FIRST_IN_REPETITION, AcqFlag.LAST_IN_REPETITION)
    return part


def _navigated(part: NDArray[np.void], simulate: Simulate, slices: int) -> NDArray[np.void]:
    """Put navigators between imaging readouts."""
    if not simulate.navigator_every:
        return part
    navigator = np.zeros(1, PLAN)
    navigator["kind"] = Kind.NAVIGATOR
    navigator["slice"], navigator["line"] = slices // 2, simulate.matrix[1] // 2
    navigator["partition"] = simulate.partitions // 2
    navigator["flags"] = flag_mask(AcqFlag.IS_NAVIGATION_DATA)
    return np.insert(part, np.arange(0, len(part), simulate.navigator_every), navigator[0])


def plan(simulate: Simulate, slices: int, only: Collection[int] = ()) -> NDArray[np.void]:
    """Every readout of a scan (readout,) of PLAN: noise, separate calibration slice by slice, then imaging.

    With `only`, no other slices are acquired; navigators are those of the whole scan.
    """
    wanted = np.array(sorted(only), np.intp) if only else np.arange(slices)
    noise = np.zeros(simulate.noise_readouts, PLAN)
    noise["flags"] = flag_mask(AcqFlag.IS_NOISE_MEASUREMENT)
    parts = [noise]
    if simulate.calibration == "separate":
        lines = acquired_lines(simulate).calibration
        reference = _loop(Kind.REFERENCE, slice=wanted, line=lines, partition=np.arange(simulate.partitions))
        reference["flags"] = flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION)
        parts.append(reference)
    parts.append(_navigated(_imaging(simulate, wanted), simulate, slices))
    whole = np.concatenate(parts)
    whole["flags"][-1] |= flag_mask(AcqFlag.LAST_IN_MEASUREMENT)
    return whole

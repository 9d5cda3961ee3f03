"""The truth of what a fault did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.mrd import AcqFlag, has_flag

__all__ = ["Truth"]


@dataclass(slots=True)
class Truth:
    """What a fault did: to which readouts, lines, slices and coils, how strongly, since when."""

    fault: str
    place: str  # as it was asked for; "": the whole scan
    strength: float
    unit: str
    keys: dict[str, float | str]
    coils: tuple[int, ...] = ()  # empty: no coil in particular
    began_s: float | None = None  # since the first readout of the scan; None: it has not happened
    readouts: list[int] = field(default_factory=list)  # scan counters
    lines: dict[int, list[int]] = field(default_factory=dict)  # of a slice, numbered as in the headers; no noise

    def forget(self) -> None:
        """Begin anew."""
        self.began_s = None
        self.readouts.clear()
        self.lines.clear()

    def note(self, headers: NDArray[np.void], tr_ms: float) -> None:
        """Write down readouts that are being hit."""
        counters = headers["scan_counter"].tolist()
        if self.began_s is None:
            self.began_s = (counters[0] - 1) * tr_ms * 1e-3
        self.readouts += counters
        signal = ~has_flag(headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT)
        idx = headers["idx"][signal]
        for number, line in zip(idx["slice"].tolist(), idx["kspace_encode_step_1"].tolist(), strict=True):
            self.lines.setdefault(number, []).append(line)

    def as_json(self) -> dict[str, Any]:
        """Everything in it, runs of numbers as [first, last]."""
        return {
            "fault": self.fault,
            "place": self.place,
            "strength": self.strength,
            "unit": self.unit,
            "keys": dict(self.keys),
            "coils": list(self.coils),
            "began_s": self.began_s,
            "readouts": _runs(self.readouts),
            "lines": {str(number): _runs(lines) for number, lines in sorted(self.lines.items())},
        }

    def __str__(self) -> str:
        """One line for people."""
        how = [f"{self.strength:g} {self.unit}"] if self.unit else []
        how += [f"{key}={value}" for key, value in self.keys.items() if key != "coil"]
        how += [f"coils {_told(self.coils)}"] if self.coils else []
        if self.began_s is None:
            return ", ".join([f"{self.fault}@{self.place}" if self.place else self.fault, *how])
        what = f"{len(self.readouts)} readouts from {self.began_s:.3f} s on"
        where = f"slices {_told(self.lines)}" if self.lines else "the noise scan"
        if len(self.lines) == 1:
            where += f" lines {_told(next(iter(self.lines.values())))}"
        return ", ".join([f"{self.fault}: {what}", where, *how])


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted runs of numbers without a gap, each as [first, last]."""
    if not numbers:
        return []
    ordered = np.unique(numbers)
    cuts = np.flatnonzero(np.diff(ordered) != 1) + 1
    return [[int(run[0]), int(run[-1])] for run in np.split(ordered, cuts)]


def _told(numbers: Mapping[int, object] | Sequence[int]) -> str:
    runs = _runs(list(numbers))
    shown = ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in runs[:8])
    return shown + (" …" if len(runs) > 8 else "")

"""What a fault is, and how one is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.errors import SimulationError
from hw_sim.faults.truth import Truth
from hw_sim.link import Cut
from hw_sim.scanner import Played
from protocols.mrd import AcqFlag, has_flag
from protocols.simulate import Simulate
from protocols.stream import Node

__all__ = ["AXES", "Asked", "Fault", "Key", "Place", "imaging"]

AXES: Final = "xyz"


@dataclass(frozen=True, slots=True)
class Key:
    """A detail of a fault that may be given as `name=number`."""

    default: float
    unit: str
    what: str
    least: float = -inf
    most: float = inf
    axis: bool = False  # given as x, y or z, kept as 0, 1 or 2

    def shown(self, value: float) -> float | str:
        """Return a value as people write it."""
        return AXES[int(value)] if self.axis else value


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong: in what is ordered, in the world, on the stream of readouts, or at its end.

    What a fault of the order or of the world changes, the scanner measures: nothing is painted over the data.
    """

    name: str
    what: str
    unit: str = ""  # of the strength; "": it has none
    strength: float = 0.0  # unless another one is given
    least: float = 0.0
    place: str = ""  # unless another one is given; "": the whole scan, noise readouts included
    placed: bool = True  # whether a place means anything
    keys: Mapping[str, Key] = field(default_factory=dict)
    order: "Callable[[Asked, Simulate], Simulate] | None" = None
    world: "Callable[[Asked, Played], Played] | None" = None
    node: "Callable[[Asked, Played, Truth], Node] | None" = None
    cut: "Callable[[Asked], Cut] | None" = None


@dataclass(frozen=True, slots=True)
class Place:
    """A moment of a scan: number of an imaging readout, seconds since the first readout, or % of imaging readouts."""

    value: float
    unit: str = ""  # "", "s" or "%"

    def __str__(self) -> str:
        """As it is written behind the @."""
        return f"{self.value:g}{self.unit}"

    def readout(self, scan: Played, name: str) -> int:
        """Number of the readout there, counted from the first one of the scan; raises SimulationError if none is."""
        places = imaging(scan)
        if self.unit == "s":
            number = ceil(self.value * 1e3 / scan.tr_ms)
            if number < len(scan.plan):
                return number
            seconds = len(scan.plan) * scan.tr_ms * 1e-3
            raise SimulationError(f"{name}@{self}: the scan lasts {seconds:.3g} s. Try {name}@50%")
        wanted = min(int(self.value * len(places) / 100), len(places) - 1) if self.unit == "%" else int(self.value)
        if wanted < len(places):
            return int(places[wanted])
        raise SimulationError(
            f"{name}@{self}: the scan has {len(places)} imaging readouts, wanted 0 to {len(places) - 1}. Try {name}@50%"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A fault with its place, its strength and its details."""

    fault: Fault
    strength: float
    place: Place | None = None
    keys: Mapping[str, float] = field(default_factory=dict)

    def first(self, scan: Played) -> int:
        """Number of the readout at which it begins."""
        return self.place.readout(scan, self.fault.name) if self.place else 0

    def onwards(self, scan: Played) -> NDArray[np.bool_]:
        """Tell which readouts (readout,) come when it has begun, of any kind."""
        return np.arange(len(scan.plan)) >= self.first(scan)

    def gone_s(self, scan: Played) -> NDArray[np.float64]:
        """Seconds (readout,) since it began, negative before."""
        return (np.arange(len(scan.plan), dtype=np.float64) - self.first(scan)) * (scan.tr_ms * 1e-3)

    def here(self, scan: Played, count: int = 1) -> NDArray[np.bool_]:
        """Tell which readouts (readout,) are the imaging readout at its place and those that follow, `count` in all."""
        places = imaging(scan)
        begin = int(np.searchsorted(places, self.first(scan)))
        return np.isin(np.arange(len(scan.plan)), places[begin : begin + count])

    def coils(self, scan: Played) -> tuple[int, ...]:
        """Coils that it hits; raises SimulationError where the array has no such coil."""
        count = len(scan.frontend.covariance)
        if self.keys["coil"] == -1:
            return tuple(range(count))
        return (self.coil("coil", count),)

    def coil(self, key: str, count: int) -> int:
        """Return a coil that a detail names, of an array of so many."""
        if self.keys[key] not in range(count):
            raise SimulationError(f"{self.fault.name}: got {key}={self.keys[key]:g}, wanted 0 to {count - 1}")
        return int(self.keys[key])

    def chance(self) -> np.random.Generator:
        """Random numbers of its own, each time alike."""
        return np.random.default_rng([int(self.keys.get("seed", 0)), *self.fault.name.encode()])

    def sigma(self, scan: Played) -> NDArray[np.float64]:
        """Standard deviation (coil,) of the noise, where the strength is counted in it."""
        if not scan.frontend.noise_std:
            raise SimulationError(
                f"{self.fault.name}: its strength counts in standard deviations of the noise, and "
                f"{scan.scan.protocol_name} has none. Give its [simulate] table an snr, for example snr = 60.0"
            )
        return scan.frontend.sigma


def imaging(scan: Played) -> NDArray[np.intp]:
    """Numbers of the imaging readouts: neither noise nor only calibration."""
    other = has_flag(scan.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT, AcqFlag.IS_PARALLEL_CALIBRATION)
    return np.flatnonzero(~other)

"""Things that go wrong on a scanner: nodes on its own stream, each with the truth of what it did."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

import numpy as np

from hw_sim.errors import SimulationError
from hw_sim.frontend import FULL_SCALE
from hw_sim.link import Cut
from protocols.messages import Message, Readouts
from protocols.mrd import AcqFlag, has_flag
from protocols.stream import Node

__all__ = ["FAULTS", "Fault", "Truth", "find_fault"]


@dataclass(frozen=True, slots=True)
class Truth:
    """One thing that a fault did to one readout."""

    fault: str
    scan_counter: int
    line: int
    slice: int
    coil: int = -1


Truths: TypeAlias = list[Truth]
IMAGING: Final = "imaging readouts"
Spoil: TypeAlias = Callable[[Readouts], Iterator[Readouts]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: what it is, and how to make it: as a node at an imaging readout, or as an end of the stream."""

    name: str
    what: str
    counts: str  # what the number given with it counts
    node: Callable[[int, Truths], Node] | None = None
    cut: Callable[[int], Cut] | None = None


def _copy(one: Readouts) -> Readouts:
    return Readouts(one.headers.copy(), one.trajectory, one.samples.copy())


def _at(name: str, spoil: Spoil, coil: int = -1) -> Callable[[int, Truths], Node]:
    """Make a node that spoils one imaging readout and writes down which."""

    def make(number: int, truths: Truths) -> Node:
        def node(messages: Iterator[Message]) -> Iterator[Message]:
            seen = 0
            for message in messages:
                if not isinstance(message, Readouts):
                    yield message
                    continue
                imaging = ~has_flag(
                    message.headers["flags"], AcqFlag.IS_NOISE_MEASUREMENT, AcqFlag.IS_PARALLEL_CALIBRATION
                )
                hits = np.flatnonzero(imaging)
                chosen = number - seen
                seen += len(hits)
                if not 0 <= chosen < len(hits):
                    yield message
                    continue
                yield from _spoilt(message, int(hits[chosen]), name, coil, spoil, truths)

        return node

    return make


def _part(batch: Readouts, rows: slice) -> Readouts:
    return Readouts(batch.headers[rows], batch.trajectory[rows], batch.samples[rows])


def _spoilt(batch: Readouts, row: int, name: str, coil: int, spoil: Spoil, truths: Truths) -> Iterator[Readouts]:
    """Yield what stands before the readout, the spoilt readout, and what stands behind it."""
    head = batch.headers[row]
    line, number = int(head["idx"]["kspace_encode_step_1"]), int(head["idx"]["slice"])
    truths.append(Truth(name, int(head["scan_counter"]), line, number, coil))
    if row:
        yield _part(batch, slice(0, row))
    yield from spoil(_copy(_part(batch, slice(row, row + 1))))
    if row + 1 < len(batch.headers):
        yield _part(batch, slice(row + 1, None))


def _lose(one: Readouts) -> Iterator[Readouts]:  # noqa: ARG001
    return iter(())


def _repeat(one: Readouts) -> Iterator[Readouts]:
    yield one
    yield one


def _not_a_number(one: Readouts) -> Iterator[Readouts]:
    one.samples[:, 0, one.samples.shape[2] // 2] = np.nan
    yield one


def _saturate(one: Readouts) -> Iterator[Readouts]:
    """Clip as if the gain were far too high for this line: the strongest sample asks for four times the range."""
    parts = one.samples.view(np.float32)
    louder = parts * np.float32(4 * FULL_SCALE / max(float(np.abs(parts).max()), 1e-30))
    yield Readouts(one.headers, one.trajectory, np.clip(louder, -FULL_SCALE, FULL_SCALE).view(np.complex64))


def _spike(one: Readouts) -> Iterator[Readouts]:
    """Let a spark hit one sample of all coils, hundred times the strongest, as far as the range goes."""
    one.samples[:, :, one.samples.shape[2] // 3] = min(100 * float(np.abs(one.samples).max()), FULL_SCALE)
    yield one


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("lose_line", "one phase-encode line never comes", IMAGING, _at("lose_line", _lose)),
        Fault("repeat_line", "one phase-encode line comes twice", IMAGING, _at("repeat_line", _repeat)),
        Fault("nan_samples", "a sample of coil 0 is not a number", IMAGING, _at("nan_samples", _not_a_number, coil=0)),
        Fault("saturate", "one line is clipped by the ADC in all coils", IMAGING, _at("saturate", _saturate)),
        Fault("spike", "a sample of all coils is hundred times too strong", IMAGING, _at("spike", _spike)),
        Fault("vanish", "gone in the middle of a readout", "readouts, noise included", cut=lambda n: Cut(readout=n)),
        Fault("cut", "gone after so many bytes", "bytes", cut=lambda n: Cut(byte=n)),
    )
}


def find_fault(name: str) -> Fault:
    """Look a fault up by name; raises SimulationError with the nearest name."""
    if name in FAULTS:
        return FAULTS[name]
    near = get_close_matches(name, FAULTS, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(FAULTS)}."
    raise SimulationError(f"no fault called '{name}'. {hint}")

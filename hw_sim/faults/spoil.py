"""Nodes that spoil readouts of a stream, copy no others, and write down which."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hw_sim.faults.truth import Truth
from hw_sim.frontend import Frontend
from hw_sim.scanner import Played
from protocols.messages import Message, Readouts
from protocols.stream import Node, on

__all__ = ["Act", "Remake", "numbers_of", "remade", "spoils"]

Act: TypeAlias = Callable[[Readouts], Iterable[Readouts]]
Remake: TypeAlias = Callable[[NDArray[np.complex64], NDArray[np.intp]], NDArray[np.complex64]]


def numbers_of(batch: Readouts) -> NDArray[np.intp]:
    """Which readouts of the scan these are, counted from 0, whatever has been lost on the way."""
    return batch.headers["scan_counter"].astype(np.intp) - 1


def spoils(hit: NDArray[np.bool_], scan: Played, truth: Truth, act: Act) -> Node:
    """Let `act` have the readouts of a scan that are hit (readout,), run by run; all others pass untouched."""

    def spoil(batch: Readouts) -> Iterator[Message]:
        here = hit[numbers_of(batch)]
        cuts = np.flatnonzero(np.diff(here)) + 1
        for first, last in zip([0, *cuts], [*cuts, len(here)], strict=True):
            part = batch.part(slice(first, last))
            if here[first]:
                truth.note(part.headers, scan.tr_ms)
                yield from act(part)
            else:
                yield part

    return on(Readouts, lambda batch: spoil(batch) if len(batch.headers) else [batch])


def remade(frontend: Frontend, remake: Remake) -> Act:
    """Other samples in the place of these: `remake` gets a copy to work in, and the ADC's range still holds."""

    def act(part: Readouts) -> Iterable[Readouts]:
        samples = remake(part.samples.copy(), numbers_of(part))
        return [Readouts(part.headers, part.trajectory, frontend.digitise(samples.astype(np.complex64, copy=False)))]

    return act

"""A scan with its faults, from what is ordered to the stream that leaves the scanner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hw_sim.faults.fault import Asked, Truth
from hw_sim.faults.field import signal
from hw_sim.faults.spoil import spoils
from hw_sim.link import Cut
from hw_sim.paperwork import Order
from hw_sim.scanner import Played, Scanner
from protocols.messages import Message
from protocols.simulate import Simulate
from protocols.stream import Node, chain

__all__ = ["Staged", "stage"]


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """A scan that is ready to be played, with its faults; the truths fill while its stream is read."""

    played: Played
    node: Node
    truths: tuple[Truth, ...] = ()
    cut: Cut | None = None

    def stream(self) -> Iterator[Message]:
        """Yield the readouts as they leave the scanner."""
        return self.node(iter(self.played.readouts()))


def stage(scanner: Scanner, simulate: Simulate, order: Order, faults: Sequence[Asked] = ()) -> Staged:
    """Prepare a scan in which faults happen; those of the stream come in the order in which they are given.

    Noise and gain are those of the scan without faults of the world, as a prescan knows nothing of what follows.
    Raises SimulationError where a fault does not fit the scan.
    """
    for asked in faults:
        if asked.fault.order:
            simulate = asked.fault.order(asked, simulate)
    played = scanner.prepare(simulate, order)
    nodes, truths = [], []
    for asked in faults:
        fault, before = asked.fault, played
        truths.append(truth := Truth(fault.name, str(asked.place or ""), asked.strength, fault.unit, asked.keys))
        if fault.world:
            played = fault.world(asked, before)
        nodes.append(fault.node(asked, played, truth) if fault.node else _noted(asked, before, played, truth))
    cuts = [asked.fault.cut(asked) for asked in faults if asked.fault.cut]
    return Staged(played, chain(*nodes), tuple(truths), cuts[0] if cuts else None)


def _noted(asked: Asked, before: Played, after: Played, truth: Truth) -> Node:
    """Change nothing on the stream, but write down which readouts the order or the world has changed."""
    poses = zip(before.poses, after.poses, strict=True)
    hit = np.array([asked.fault.order is not None or old != new for old, new in poses])
    if asked.fault.order is None:
        hit &= signal(after)
    return spoils(hit, after, truth, lambda part: [part])

"""A scan with its faults, from what is ordered to the stream that leaves the scanner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hw_sim.faults.fault import Asked
from hw_sim.faults.field import signal
from hw_sim.faults.spoil import spoils
from hw_sim.faults.truth import Truth
from hw_sim.link import Cut
from hw_sim.paperwork import Order
from hw_sim.scanner import Played, Scanner
from protocols.messages import Message
from protocols.simulate import Simulate
from protocols.stream import Node, chain

__all__ = ["Staged", "stage"]


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One fault, the scan as it was before it, and as it is with it."""

    asked: Asked
    before: Played
    after: Played
    truth: Truth

    def node(self) -> Node:
        """Make what happens on the stream, and write down what has happened to the scan before."""
        if self.asked.fault.node:
            return self.asked.fault.node(self.asked, self.after, self.truth)
        if self.asked.fault.order:
            hit = np.ones(len(self.after.plan), np.bool_)
        else:
            poses = zip(self.before.poses, self.after.poses, strict=True)
            hit = np.array([old != new for old, new in poses]) & signal(self.after)
        return spoils(hit, self.after, self.truth, lambda part: [part])


@dataclass(frozen=True, slots=True, eq=False)
class Staged:
    """A scan that is ready to be played with its faults, as often as one likes, each time alike."""

    played: Played
    steps: tuple[_Step, ...]

    @property
    def truths(self) -> tuple[Truth, ...]:
        """What the faults have done; it fills while the stream is read."""
        return tuple(step.truth for step in self.steps)

    @property
    def cut(self) -> Cut | None:
        """Where the scanner falls silent, if it does."""
        return next((step.asked.fault.cut(step.asked) for step in self.steps if step.asked.fault.cut), None)

    def node(self) -> Node:
        """Make a node that spoils the readouts of the scan; the truths begin anew."""
        for step in self.steps:
            step.truth.forget()
        return chain(*(step.node() for step in self.steps))

    def stream(self) -> Iterator[Message]:
        """Yield the readouts as they leave the scanner."""
        return self.node()(iter(self.played.readouts()))


def stage(scanner: Scanner, simulate: Simulate, order: Order, faults: Sequence[Asked] = ()) -> Staged:
    """Prepare a scan in which faults happen; those of the stream come in the order in which they are given.

    Noise and gain are those of the scan without faults of the world, as a prescan knows nothing of what follows.
    Raises SimulationError where a fault does not fit the scan.
    """
    for asked in faults:
        if asked.fault.order:
            simulate = asked.fault.order(asked, simulate)
    played = scanner.prepare(simulate, order)
    steps = []
    for asked in faults:
        before = played
        if asked.fault.world:
            played = asked.fault.world(asked, before)
        steps.append(_Step(asked, before, played, _blank(asked)))
    staged = Staged(played, tuple(steps))
    _ = staged.node(), staged.cut  # what does not fit the scan is told before it begins
    return staged


def _blank(asked: Asked) -> Truth:
    """Truth of a fault that has not happened yet, its details as people write them."""
    fault = asked.fault
    details = {name: fault.keys[name].shown(value) for name, value in asked.keys.items()}
    return Truth(fault.name, str(asked.place or ""), asked.strength, fault.unit, details)

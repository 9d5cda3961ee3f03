"""A scan whose slices lie where a prescription says: the console waits for one, or keeps its default planes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, get_args

from hw_sim.desk import Decision, Desk, Taken, applied, wait_for
from hw_sim.devices import AT_REST, Motion, Pose
from hw_sim.errors import SimulationError
from hw_sim.faults import Staged
from protocols.messages import Feedback, Message
from protocols.problems import nearest
from protocols.simulate import Simulate

__all__ = ["NEVER", "SUPINE", "AtDesk", "Lying", "Preceded", "at_desk", "decision_of", "followed"]

NEVER: Final = "the default planes are measured"


@dataclass(frozen=True, slots=True)
class Lying:
    """How the patient lies."""

    position: str = "HFS"
    pose: Pose = AT_REST

    @property
    def motion(self) -> Motion:
        """Nowhere else, for all of the scan."""
        return Motion(self.pose, self.pose)


SUPINE: Final = Lying()


@dataclass(frozen=True, slots=True)
class AtDesk:
    """Where the console waits for a prescription, what it does with one, and for how long it waits."""

    address: str
    decision: Decision = "accept"
    patience_s: float = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Preceded(Staged):
    """A scan in front of whose readouts the console says what was asked of it, and what it set."""

    words: tuple[Feedback, ...] = field(default=())

    def stream(self) -> Iterator[Message]:
        """Yield the words, then the readouts as they leave the scanner."""
        yield from self.words
        yield from Staged.stream(self)


def decision_of(text: str) -> Decision:
    """Read what a console does with a prescription; raises SimulationError."""
    known: dict[str, Decision] = {name: name for name in get_args(Decision)}
    if text not in known:
        raise SimulationError(f"--decide {text}: no such decision. {nearest(text, known)}")
    return known[text]


def at_desk(
    simulate: Simulate, lying: Lying, desk: AtDesk, tell: Callable[[str], None]
) -> tuple[Simulate, tuple[Feedback, ...]]:
    """Wait for a prescription; returns what is to be measured, and what the plugin is told of it."""
    taken = wait_for(Desk(simulate, lying.position, desk.decision), desk.address, desk.patience_s, tell)
    if taken is None:
        tell(f"no prescription came within {desk.patience_s:g} s: {NEVER}")
        return simulate, ()
    return followed(simulate, taken, tell), taken.feedback()


def followed(simulate: Simulate, taken: Taken, tell: Callable[[str], None]) -> Simulate:
    """The scan as the console sets it; with its default planes where it has refused what was prescribed."""
    answer = taken.answer
    if answer.stack is None:
        tell(f"prescription {answer.id} refused, {NEVER}: {'; '.join(answer.reasons)}")
        return simulate
    why = f": {'; '.join(answer.reasons)}" if answer.reasons else ""
    tell(f"prescription {answer.id} of {taken.asked.plan} {answer.decision}{why} (it is {taken.standing})")
    return applied(simulate, answer.stack)

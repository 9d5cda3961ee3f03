"""Many short scans against one plugin, some with a fault, and what the plugin told of each."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from hw_sim.campaign_plan import COILS, FINDS, KINDS, Trial
from hw_sim.clock import WallClock
from hw_sim.coils import head_array
from hw_sim.errors import SimulationError
from hw_sim.exam import patient_of, sequence_of
from hw_sim.faults import Staged, Truth, ask, stage
from hw_sim.link import Session, play
from hw_sim.paperwork import Order
from hw_sim.plugin import Address
from hw_sim.scanner import Scanner
from protocols.bus import Subscriber
from protocols.events import Flag
from protocols.header import write_header
from protocols.messages import Readouts

__all__ = ["Outcome", "campaign", "found_at", "found_by"]

QUIET_S: Final = 0.05  # after CLOSE, until no flag can be on its way
FIRST_S: Final = 10.0  # for the first flag of all, when the bus is being joined
BURST: Final = 8  # readouts
PAUSE_NS: Final = 6_000_000
SLOW: Final = "deadline_missed"
ABOVE: Final = 10.0  # noise standard deviations above its neighbours from which a spike must be found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scan."""

    trial: Trial
    truth: Truth | None
    flags: tuple[Flag, ...]  # WARN and FAIL
    images: int
    missing: int
    errors: tuple[str, ...]
    seconds: float

    @property
    def codes(self) -> frozenset[str]:
        """What was flagged, but not that the computer was slow: that says nothing of the scan."""
        return frozenset(flag.code for flag in self.flags) - {SLOW}

    @property
    def should(self) -> bool:
        """Whether its fault is one that a check is there for, and strong enough."""
        if self.truth is None or not FINDS[self.truth.fault]:
            return False
        return self.truth.fault != "spike" or float(self.truth.keys.get("above", 0)) >= ABOVE


def found_by(outcome: Outcome, code: str) -> Flag | None:
    """The flag of a code, the one that names its place first."""
    told = [flag for flag in outcome.flags if flag.code == code]
    return max(told, key=lambda flag: len(flag.evidence), default=None)


def found_at(flag: Flag, truth: Truth) -> bool | None:
    """Whether a flag names coil, frequency, sample or line of a fault rightly; None where it names none of these."""
    evidence, said = flag.evidence, []
    if truth.coils and len(truth.coils) == 1 and "coil" in evidence:
        said.append(evidence["coil"] == truth.coils[0])
    if truth.fault == "swapped_coils" and "coils" in evidence:
        said.append(evidence["coils"] == sorted(truth.coils))
    if truth.fault == "zipper" and "offset_hz" in evidence:
        said.append(abs(float(str(evidence["offset_hz"])) - float(truth.keys["hz"])) < float(truth.keys["width_hz"]))
    if truth.fault == "spike" and "sample" in evidence:
        said.append(evidence["sample"] == truth.keys["sample"])
    lines = evidence.get("lines")
    if isinstance(lines, list) and truth.fault in {"lose_line", "repeat_line", "nan_samples", "spike"}:
        hit = {line for rows in truth.lines.values() for line in rows}
        said.append(bool(lines) and set(lines) <= hit)
    return all(said) if said else None


def campaign(trials: Sequence[Trial], address: Address) -> Iterator[Outcome]:
    """Play trials one after another, the next one being prepared meanwhile; yields what came of each.

    Raises SimulationError where the plugin has no bus, LinkError where it is gone.
    """
    if address.bus is None:
        raise SimulationError("a campaign reads flags from the bus. Give its address: --bus tcp://127.0.0.1:9003")
    patients = {body: patient_of(body) for body in {trial.body for trial in trials}}
    coils = head_array(COILS)

    def prepared(trial: Trial) -> tuple[Staged, list[Readouts]]:
        protocol, simulate = sequence_of(KINDS[trial.kind].protocol)
        changed = type(simulate).model_validate(simulate.model_dump() | dict(trial.changes))
        scanner = Scanner(patients[trial.body], coils, seed=trial.number + 1)
        faults = [ask(trial.fault)] if trial.fault else []
        staged = stage(scanner, changed, Order(protocol.name, trial.number), faults)
        return staged, [batch for batch in staged.stream() if isinstance(batch, Readouts)]

    with Subscriber(address.bus, ["flag"]) as bus, ThreadPoolExecutor(1) as ahead:
        coming = None
        for number, trial in enumerate(trials):
            staged, readouts = (coming or ahead.submit(prepared, trial)).result()
            coming = ahead.submit(prepared, trials[number + 1]) if number + 1 < len(trials) else None
            yield _played(trial, staged, readouts, address, bus)


def _bursts(readouts: Iterable[Readouts]) -> Iterator[tuple[int, Readouts]]:
    """Let a few readouts leave together, a pause between: checks look at a part of what comes at once."""
    due_ns = 0
    for batch in readouts:
        for first in range(0, len(batch.headers), BURST):
            yield due_ns, batch.part(slice(first, first + BURST))
            due_ns += PAUSE_NS


def _played(trial: Trial, staged: Staged, readouts: list[Readouts], address: Address, bus: Subscriber) -> Outcome:
    session = Session(address.host, address.port, KINDS[trial.kind].protocol)
    result = play(session, write_header(staged.played.scan), _bursts(readouts), WallClock())
    wait_s = FIRST_S if trial.number == 0 else QUIET_S
    flags = []
    while (event := bus.receive(wait_s)) is not None:
        wait_s = QUIET_S
        if isinstance(event, Flag) and event.severity.broken:
            flags.append(event)
    truth = staged.truths[0] if staged.truths else None
    return Outcome(
        trial, truth, tuple(flags), len(result.images), len(result.missing), tuple(result.errors), result.seconds
    )

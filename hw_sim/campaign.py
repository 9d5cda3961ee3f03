"""Many short scans against one plugin, some with a fault, and what the plugin told of each."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from hw_sim.campaign_plan import COILS, FINDS, FIRST, JUDGES, KINDS, Kind, Trial
from hw_sim.campaign_size import scale_of, size_of, torn
from hw_sim.clock import WallClock
from hw_sim.coils import head_array
from hw_sim.errors import SimulationError
from hw_sim.exam import patient_of, sequence_of
from hw_sim.faults import Truth, ask, stage
from hw_sim.link import Session, play
from hw_sim.paperwork import Order
from hw_sim.plugin import Address
from hw_sim.scanner import Scanner
from protocols.bus import Subscriber
from protocols.events import Flag, Severity
from protocols.header import write_header
from protocols.messages import Readouts
from protocols.scan import Scan

__all__ = ["SCOUT", "Outcome", "campaign", "found_at", "found_by", "with_scouts"]

QUIET_S: Final = 0.05  # after CLOSE, until no flag can be on its way
SILENCE_S: Final = 180.0  # of a plugin, before it is given up: whoever shares the machine may halt it for a while
FIRST_S: Final = 10.0  # for the first flag of all, when the bus is being joined
BURST: Final = 8  # readouts
PAUSE_NS: Final = 6_000_000
SLOW: Final = "deadline_missed"
SCOUT: Final = "scout_3d"  # kind of a scan that begins an exam


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
    size: float | None = None  # of the fault, as campaign_size.py counts it
    torn: bool = False  # whether the patient moved amid the calibration lines of a frame
    unknown: frozenset[str] = frozenset()  # codes of checks that could not judge

    @property
    def codes(self) -> frozenset[str]:
        """What was flagged, but not that the computer was slow: that says nothing of the scan."""
        return frozenset(flag.code for flag in self.flags) - {SLOW}

    @property
    def clean(self) -> bool:
        """Whether nothing goes wrong in it; the scout that begins an exam does not count."""
        return self.truth is None and self.trial.kind != SCOUT

    @property
    def should(self) -> bool:
        """Whether its fault is one that a check is there for, and large enough to matter."""
        return self.truth is not None and self.large and any(self.wanted(code) for code in FINDS[self.truth.fault])

    @property
    def large(self) -> bool:
        """Whether its fault is large enough to matter."""
        scale = scale_of(self.truth.fault) if self.truth is not None else None
        return scale is None or self.size is None or self.size >= scale.matters

    def wanted(self, code: str) -> bool:
        """Whether the check of a code judges scans of this kind."""
        return self.trial.kind in JUDGES.get(code, KINDS)


def found_by(outcome: Outcome, code: str) -> Flag | None:
    """The flag of a code, the one that names its place first."""
    told = [flag for flag in outcome.flags if flag.code == code]
    return max(told, key=lambda flag: len(flag.evidence), default=None)


def found_at(flag: Flag, truth: Truth) -> bool | None:
    """Whether a flag names coil, frequency, sample, line or slice of a fault rightly; None where it names none."""
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
    if flag.code == "frame_motion":
        said.append(evidence.get("slice") == next(iter(truth.lines), None))
    return all(said) if said else None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A scan that has been made and only needs to be sent."""

    trial: Trial
    scan: Scan
    readouts: list[Readouts]
    truth: Truth | None = None
    size: float | None = None
    torn: bool = False


class _Scanning:
    """Makes the scans of a campaign; the scout of a patient is made once, as he lies still from exam to exam."""

    def __init__(self, bodies: Iterable[str]) -> None:
        self._patients = {body: patient_of(body) for body in bodies}
        self._coils = head_array(COILS)
        self._scouts: dict[str, _Ready] = {}

    def ready(self, trial: Trial) -> _Ready:
        """Make a scan with its fault and what is true of it."""
        if trial.kind == SCOUT and trial.body in self._scouts:
            return self._scouts[trial.body]
        protocol, simulate = sequence_of(_kind(trial).protocol)
        changed = type(simulate).model_validate(simulate.model_dump() | dict(trial.changes))
        scanner = Scanner(self._patients[trial.body], self._coils, seed=trial.number + 1)
        faults = [ask(trial.fault)] if trial.fault else []
        staged = stage(scanner, changed, Order(protocol.name, trial.number), faults)
        readouts = [batch for batch in staged.stream() if isinstance(batch, Readouts)]
        truth = staged.truths[0] if staged.truths else None
        made = _Ready(trial, staged.played.scan, readouts, truth, size_of(staged), torn(staged.played))
        if trial.kind == SCOUT:
            self._scouts[trial.body] = made
        return made


def campaign(trials: Sequence[Trial], address: Address) -> Iterator[Outcome]:
    """Play trials one after another, the next one being prepared meanwhile; yields what came of each.

    Each exam begins with a scout of its own, which is yielded, too: kind SCOUT. Raises SimulationError where the plugin
    has no bus, LinkError where it is gone.
    """
    if address.bus is None:
        raise SimulationError("a campaign reads flags from the bus. Give its address: --bus tcp://127.0.0.1:9003")
    every = [*with_scouts(trials)]
    scanning = _Scanning({trial.body for trial in trials})
    with Subscriber(address.bus, ["flag"]) as bus, ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(scanning.ready, every[0]) if every else None
        for number in range(len(every)):
            assert coming is not None  # noqa: S101
            ready = coming.result()
            coming = ahead.submit(scanning.ready, every[number + 1]) if number + 1 < len(every) else None
            yield _played(ready, address, bus, FIRST_S if number == 0 else QUIET_S)


def with_scouts(trials: Iterable[Trial]) -> Iterator[Trial]:
    """Put a scout of the same patient before the first trial of each exam."""
    exam = None
    for trial in trials:
        if trial.exam not in (None, exam):
            yield Trial(trial.number, SCOUT, trial.body, FIRST.changes, exam=trial.exam)
        exam = trial.exam
        yield trial


def _kind(trial: Trial) -> Kind:
    return FIRST if trial.kind == SCOUT else KINDS[trial.kind]


def _bursts(readouts: Iterable[Readouts]) -> Iterator[tuple[int, Readouts]]:
    """Let a few readouts leave together, a pause between: checks look at a part of what comes at once."""
    due_ns = 0
    for batch in readouts:
        for first in range(0, len(batch.headers), BURST):
            yield due_ns, batch.part(slice(first, first + BURST))
            due_ns += PAUSE_NS


def _played(ready: _Ready, address: Address, bus: Subscriber, wait_s: float) -> Outcome:
    trial = ready.trial
    session = Session(address.host, address.port, _kind(trial).protocol, silence_s=SILENCE_S)
    sent = ((0, batch) for batch in ready.readouts) if trial.kind == SCOUT else _bursts(ready.readouts)
    result = play(session, write_header(ready.scan), sent, WallClock())
    flags, unknown = [], set()
    while (event := bus.receive(wait_s)) is not None:
        wait_s = QUIET_S
        if isinstance(event, Flag) and event.severity.broken:
            flags.append(event)
        elif isinstance(event, Flag) and event.severity is Severity.UNKNOWN:
            unknown.add(event.code)
    told = tuple(flags), len(result.images), len(result.missing), tuple(result.errors), result.seconds
    return Outcome(trial, ready.truth, *told, ready.size, ready.torn, frozenset(unknown))

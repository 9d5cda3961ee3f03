"""An exam: a patient, a coil array and scans, written in TOML, run against a plugin over the wire."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hw_sim.clock import Clock, VirtualClock, WallClock
from hw_sim.coils import Array, head_array
from hw_sim.collect import Result
from hw_sim.console import keep, latency_plot, write_flags
from hw_sim.desk import Decision, Desk, Taken
from hw_sim.devices import AT_REST, Motion, Pose, Table
from hw_sim.errors import SimulationError
from hw_sim.faults import Asked, Staged, ask, stage
from hw_sim.head import load_nifti, mni_head
from hw_sim.link import Session, play
from hw_sim.open_desk import OpenDesk, settled
from hw_sim.pacing import ahead, at_once, every
from hw_sim.paperwork import Order, named
from hw_sim.phantom import ASYMMETRIC
from hw_sim.phantom_acr import ACR_LIKE
from hw_sim.planned import Planned
from hw_sim.plugin import Address
from hw_sim.prescribed import NEVER, Lying, Preceded, followed
from hw_sim.report import Shown, page
from hw_sim.scanner import Scanner
from hw_sim.signal import Patient
from hw_sim.truth import true_stack
from hw_sim.volume_coil import volume_coil
from protocols import scan_protocol
from protocols.events import Prescription
from protocols.header import write_header
from protocols.messages import Feedback, Readouts
from protocols.prescription import Answer
from protocols.scan_protocol import ScanProtocol
from protocols.simulate import Simulate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Exam", "Sending", "exam_names", "load_exam", "patient_of", "run_exam", "run_scan", "sequence_of"]

T = TypeVar("T")
Vector = tuple[float, float, float]
Watch = Callable[[str, int, int], None]  # (what, done, of)
SCOUTING: Final = frozenset({"locate", "prescribe"})  # nodes by which a scan protocol says that it is a scout's


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Body(_Table):
    """Who lies in the scanner."""

    body: Annotated[str, Field(description="mni, phantom, acr (cylinder phantom), or a NIfTI file")] = "mni"
    subject: Annotated[str, Field(description="patientID of the header, by which a server knows him again")] = ""
    position: Annotated[str, Field(pattern=r"^[HF]F(S|P|DR|DL)$")] = "HFS"
    turn_deg: Annotated[Vector, Field(description="how the head is turned: rotation vector, LPS")] = (0.0, 0.0, 0.0)
    shift_mm: Annotated[Vector, Field(description="how far it lies off the isocentre, LPS")] = (0.0, 0.0, 0.0)

    @property
    def lying(self) -> Lying:
        """How the patient lies when the exam begins."""
        return Lying(self.position, Pose(self.shift_mm, self.turn_deg))


class Loops(_Table):
    """The receive array."""

    kind: Annotated[Literal["loops", "volume"], Field(description="loops around the head, or a volume coil")] = "loops"
    coils: Annotated[int, Field(ge=4, le=64, description="how many loops")] = 16

    @property
    def array(self) -> Array:
        """The coils themselves."""
        return volume_coil() if self.kind == "volume" else head_array(self.coils)

    def __str__(self) -> str:
        return "a volume coil, two channels" if self.kind == "volume" else f"{self.coils} loops around the head"


class Moves(_Table):
    """How the patient moves before a scan, and stays."""

    turn_deg: Vector = (0.0, 0.0, 0.0)
    shift_mm: Vector = (0.0, 0.0, 0.0)


class Step(_Table):
    """One scan of the exam."""

    protocol: str
    prescribed: Annotated[
        str, Field(description="plan that says where the slices lie; absent: where the protocol does")
    ] = ""
    decide: Annotated[
        Decision | Literal["silent"] | None,
        Field(
            description="what the console does with the prescription; silent: nothing; absent: as it last did, accept"
        ),
    ] = None
    table_mm: Annotated[float | None, Field(description="where the table goes before the scan, towards the bore")] = (
        None
    )
    moves: Annotated[Moves | None, Field(description="how the patient moves before the scan")] = None
    faults: Annotated[
        tuple[str, ...], Field(description="what goes wrong, as `scanside-sim faults` lists it: motion@50%:3")
    ] = ()


class Exam(_Table):
    """What an exam file holds."""

    title: str
    patient: Body = Body()
    array: Loops = Loops()
    scans: Annotated[tuple[Step, ...], Field(min_length=1)]
    obey: Annotated[bool, Field(description="the console stops and acquires again as it is advised")] = False


@dataclass(frozen=True, slots=True)
class Sending:
    """How a scan is sent."""

    address: Address
    virtual_time: bool = False
    obey: bool = False
    subject: str = ""  # whom the header names; an exam's file may, too
    desk: OpenDesk | None = None  # where the plugin asks, if it was told so
    silence_s: float = 30.0  # longest wait for the plugin to take or to give anything


def exam_names() -> tuple[str, ...]:
    """Names of the exams that come with the simulator."""
    return tuple(sorted(path.name[:-5] for path in (resources.files("hw_sim") / "exams").iterdir()))


def load_exam(name: str) -> Exam:
    """Read an exam by name or by file; raises SimulationError with what is wrong."""
    path = Path(name)
    if path.suffix != ".toml":
        path = Path(str(resources.files("hw_sim") / "exams" / f"{name}.toml"))
        if not path.exists():
            raise SimulationError(f"no exam called '{name}'. Known: {', '.join(exam_names())}, or give a .toml file")
    try:
        return Exam.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise SimulationError(f"{path}: {problem}") from problem
    except ValidationError as problem:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in problem.errors())
        raise SimulationError(f"{path}: {told}") from problem


def patient_of(body: str) -> Patient:
    """Fetch a patient by name or NIfTI file."""
    if body == "phantom":
        return ASYMMETRIC
    if body == "acr":
        return ACR_LIKE
    return mni_head() if body == "mni" else load_nifti(Path(body))


def sequence_of(name: str, folders: Iterable[Path] = ()) -> tuple[ScanProtocol, Simulate]:
    """Find a scan protocol by name or file, with what is to be simulated."""
    path = Path(name)
    protocol = scan_protocol.load(path) if path.suffix == ".toml" else scan_protocol.find(name, tuple(folders))
    if protocol.simulate is None:
        raise SimulationError(f"{protocol.where}: no [simulate] table, so there is nothing to play. Try brain_gre_r4")
    return protocol, protocol.simulate


def _watched(messages: Iterable[T], name: str, of: int, watch: Watch) -> Iterator[T]:
    """Pass everything on and tell how many readouts have passed; a pair is a time and a message."""
    done = 0
    for item in messages:
        yield item
        message = item[1] if isinstance(item, tuple) else item
        done += len(message.headers) if isinstance(message, Readouts) else 0
        watch(name, done, of)


def run_scan(staged: Staged, config: str, sending: Sending, watch: Watch) -> Result:
    """Play one prepared scan with its faults to the plugin and collect what comes back."""
    played = staged.played
    name, count = played.scan.protocol_name, len(played.plan)
    stream = ahead(_watched(staged.stream(), f"{name}, prepare", count, watch))
    timed = at_once(stream) if sending.virtual_time else every(stream, played.tr_ms)
    clock: Clock = VirtualClock() if sending.virtual_time else WallClock()
    where = sending.address
    session = Session(where.host, where.port, config, where.bus, silence_s=sending.silence_s, obeys=sending.obey)
    header = named(write_header(played.scan), sending.subject)
    return play(session, header, _watched(timed, name, count, watch), clock, staged.cut)


def run_exam(exam: Exam, sending: Sending, out: Path, watch: Watch) -> list[Shown]:
    """Play all scans of an exam one after another; leaves images, flags, plots and the page in `out`.

    A console that obeys acquires again what it is advised to, once, behind the scan: slices, or all of an aborted one.
    The newest scout says where slices lie; where it prescribes nothing, an older one does not count. What the console
    did with a prescription, an override too, sticks to it until a scan decides otherwise.
    """
    faults = [tuple(map(ask, step.faults)) for step in exam.scans]
    watch("patient", 0, 1)
    scanner = Scanner(patient_of(exam.patient.body), exam.array.array)
    watch("patient", 1, 1)
    sending = replace(sending, obey=sending.obey or exam.obey, subject=sending.subject or exam.patient.subject)
    room = _Room(exam, scanner, sending, out, watch)
    if sending.desk is not None:
        sending.desk.decide = room.answer
    for step, wrong in zip(exam.scans, faults, strict=True):
        room.before(step)
        first = room.scan(step, wrong)
        if room.sending.obey and (first.spoilt or first.aborted):
            room.scan(step, (), first)
    write_exam(exam, room.shown, out)
    return room.shown


@dataclass(slots=True, eq=False)
class _Room:
    """Where the scans of an exam are played, and what has come of them."""

    exam: Exam
    scanner: Scanner
    sending: Sending
    out: Path
    watch: Watch
    shown: list[Shown] = field(default_factory=list)
    begun: int = 0  # how many of the exam's scans
    pose: Pose = AT_REST
    table_mm: float = 0.0
    newest: int | None = None  # which of those shown is the newest scout
    decided: dict[str, Decision] = field(default_factory=dict)  # by a prescription's id, where slices were set

    def __post_init__(self) -> None:
        self.pose = self.exam.patient.lying.pose

    def before(self, step: Step) -> None:
        """Let the patient and the table move as they do before a scan."""
        self.begun += 1
        if step.moves is not None:
            self.pose = self.pose.then(Pose(step.moves.shift_mm, step.moves.turn_deg))
        if step.table_mm is not None:
            self.table_mm = step.table_mm
        self.scanner = replace(self.scanner, motion=Motion(self.pose, self.pose))

    def scan(self, step: Step, faults: tuple[Asked, ...], before: Result | None = None) -> Result:
        """Play one scan, or acquire again what was spoilt `before`."""
        protocol, simulate = sequence_of(step.protocol)
        simulate, words, planned = self._placed(step, simulate) if step.prescribed else (simulate, (), None)
        only = () if before is None or before.aborted else before.spoilt
        table = Table(self.table_mm, self.table_mm)
        order = Order(protocol.name, len(self.shown) + 1, self.exam.patient.position, only=only, table=table)
        staged = stage(self.scanner, simulate, order, faults)
        result = run_scan(Preceded(staged.played, staged.steps, words), protocol.name, self.sending, self.watch)
        label = protocol.name if before is None else f"{protocol.name}_again"
        folder = self.out / f"{len(self.shown) + 1}_{label}"
        keep(result, folder, staged.truths)
        shown = Shown(label, protocol.title, result, simulate, staged.truths, before, planned)
        if (picture := shown.overlay) is not None:
            (folder / "overlay.png").write_bytes(picture)
        self.shown.append(shown)
        if result.prescriptions or not SCOUTING.isdisjoint(protocol.chain.order):
            self.newest = len(self.shown) - 1
        return result

    def _placed(self, step: Step, simulate: Simulate) -> tuple[Simulate, tuple[Feedback, ...], Planned]:
        """Where the console measures a scan that the plugin should have prescribed, and what it tells the plugin."""
        position = self.exam.patient.position
        scout = None if self.newest is None else self.shown[self.newest]
        made = () if scout is None else scout.result.prescriptions
        asked = next((one for one in reversed(made) if one.plan == step.prescribed), None)
        images = () if scout is None else tuple(scout.images)
        truth = true_stack(self.exam.patient.body, step.prescribed, self.pose, self.table_mm, position)
        if asked is None or step.decide == "silent":
            why = self._nothing(step.prescribed) if asked is None else "the console did not answer"
            return simulate, (), Planned(step.prescribed, (f"{why}: {NEVER}",), images, asked, truth=truth)
        decision = step.decide or self.decided.get(asked.id, "accept")
        taken, way = settled(Taken(asked, self._desk(simulate, decision).decide(asked, time.time())), self.sending.desk)
        said = ["the override of an earlier scan sticks"] if decision == "override" and step.decide is None else []
        simulate = followed(simulate, taken, said.append)
        if taken.answer.stack is not None:
            self.decided[asked.id] = decision
        return (
            simulate,
            taken.feedback(),
            Planned(step.prescribed, tuple(said), images, asked, taken.answer, way, truth),
        )

    def answer(self, asked: Prescription) -> Answer | None:
        """What the console says over the bus: what the next scan of that plan will have, were it to begin now.

        A plan that no scan takes is kept as any scan could have it.
        """
        step = next((step for step in self.exam.scans[self.begun :] if step.prescribed == asked.plan), None)
        if step is None:
            return self._desk(Simulate(), "accept").decide(asked, time.time())
        if step.decide == "silent":
            return None
        _, simulate = sequence_of(step.protocol)
        return self._desk(simulate, step.decide or "accept").decide(asked, time.time())

    def _desk(self, simulate: Simulate, decision: Decision) -> Desk:
        return Desk(simulate, self.exam.patient.position, decision, (0.0, 0.0, self.table_mm))

    def _nothing(self, plan: str) -> str:
        """Say which scout has not prescribed a plan; one before it does not count."""
        of = "" if self.newest is None else f" of the newest scout, {self.newest + 1}_{self.shown[self.newest].name}"
        return f"no prescription of {plan} came{of}"


def write_exam(exam: Exam, shown: list[Shown], out: Path) -> None:
    """Write what belongs to the exam as a whole: flags.json, latency.png, index.html."""
    write_flags(out / "flags.json", [flag for scan in shown for flag in scan.result.flags])
    (out / "latency.png").write_bytes(latency_plot([(scan.name, scan.result) for scan in shown]))
    facts = {
        "patient": f"{exam.patient.body}, {exam.patient.position}",
        "array": f"{exam.array}, Biot-Savart",
        "duration": f"{sum(scan.result.seconds for scan in shown):.1f} s of scanning",
    }
    (out / "index.html").write_text(page(exam.title, shown, facts), encoding="utf-8")

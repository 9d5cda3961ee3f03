"""What the commands of scanside-sim do."""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from threadpoolctl import threadpool_limits

from hw_sim.clock import Clock, VirtualClock, WallClock
from hw_sim.coils import head_array
from hw_sim.console import keep
from hw_sim.errors import SimulationError
from hw_sim.exam import Sending, load_exam, patient_of, run_exam, run_scan, sequence_of
from hw_sim.faults import FAULTS, Fault, ask, stage
from hw_sim.head import mni_head
from hw_sim.landmarks import head_landmarks
from hw_sim.link import Session, play
from hw_sim.open_desk import open_desk
from hw_sim.paperwork import Order
from hw_sim.plugin import Address, started
from hw_sim.prescribed import SUPINE, AtDesk, Lying, Preceded, at_desk
from hw_sim.replay import read_recording
from hw_sim.report import Shown, page
from hw_sim.scanner import Scanner
from protocols.bus import Subscriber
from protocols.events import Flag, ImageReady
from protocols.header import parse_header
from protocols.landmarks import write_landmarks
from protocols.messages import Feedback
from protocols.problems import nearest

__all__ = [
    "Wanted",
    "console_command",
    "exam_command",
    "faults_command",
    "landmarks_command",
    "replay_command",
    "scan_command",
]

SCREEN = Console(width=None if sys.stdout.isatty() else 110)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options that the commands share."""

    connect: str
    bus: str | None
    out: Path
    patient: str = "phantom"
    coils: int = 16
    virtual_time: bool = False
    faults: tuple[str, ...] = ()
    at: int | None = None
    lying: Lying = SUPINE
    desk: AtDesk | None = None
    subject: str = ""


class _Bars(ExitStack):
    """A progress bar for everything that lasts; plain lines where there is no terminal."""

    def __init__(self) -> None:
        super().__init__()
        columns = (TextColumn("{task.description:>22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = self.enter_context(Progress(*columns, console=SCREEN, refresh_per_second=4))
        self._tasks: dict[str, TaskID] = {}

    def watch(self, name: str, done: int, of: int) -> None:
        """Show how far something is."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=of)
            if not SCREEN.is_terminal:
                SCREEN.print(f"{name} …")
        self._progress.update(self._tasks[name], completed=done)


def _address(connect: str, bus: str | None) -> Address:
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit():
        raise SimulationError(f"--connect: got {connect!r}, wanted HOST:PORT, for example 127.0.0.1:9002")
    return Address(host, int(port), bus)


def _table(shown: list[Shown]) -> Table:
    table = Table(title="What came back", title_justify="left")
    for column in ("scan", "readouts", "images", "latency p50", "p99", "jitter p99", "flags"):
        table.add_column(column, justify="left" if column in {"scan", "flags"} else "right", no_wrap=True)
    for scan in shown:
        late = scan.latency
        times = (f"{late.p50_ms:.1f} ms", f"{late.p99_ms:.1f} ms") if late else ("-", "-")
        result = scan.result
        jitter = f"{result.jitter.p99_ms:.2f} ms"
        table.add_row(scan.name, str(result.readouts), str(len(result.images)), *times, jitter, scan.severities)
    return table


def _verdict(shown: list[Shown], result_file: Path) -> int:
    """Print the table, the complaints and where everything lies; 1 if an image is missing or something broke."""
    SCREEN.print(_table(shown))
    code = 0
    for scan in shown:
        for line in scan.planned.said if scan.planned else ():
            SCREEN.print(f"{scan.name}: {line}", markup=False)
        told = list(scan.result.errors)
        if scan.result.missing:
            frames = ", ".join(f"slice {key[0]} repetition {key[3]}" for key in scan.result.missing[:10])
            told.append(f"no image of {frames}{' …' if len(scan.result.missing) > 10 else ''}")
        elif not scan.result.images:
            told.append("no image came")
        for line in told:
            SCREEN.print(f"{scan.name}: {line}", style="red", markup=False)
        code = code or bool(told)
    SCREEN.print(f"See {result_file}")
    return int(code)


def exam_command(  # noqa: PLR0913 - one for each option
    name: str, connect: str | None, bus: str | None, out: Path, *, virtual_time: bool, obey: bool, subject: str
) -> int:
    """Run an exam; returns the exit code."""
    wanted = load_exam(name)
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        desk = None if connect else stack.enter_context(open_desk())
        if desk is None:
            where = _address(str(connect), bus)
        else:
            where = stack.enter_context(started(out / "plugin.log", "--console", desk.address))
        with _Bars() as bars:
            shown = run_exam(wanted, Sending(where, virtual_time, obey, subject, desk), out, bars.watch)
    return _verdict(shown, out / "index.html")


def scan_command(name: str, wanted: Wanted) -> int:
    """Play one scan; returns the exit code."""
    protocol, simulate = sequence_of(name)
    faults = [ask(text, wanted.at) for text in wanted.faults]
    sending = Sending(_address(wanted.connect, wanted.bus), wanted.virtual_time, subject=wanted.subject)
    words: tuple[Feedback, ...] = ()
    if wanted.desk is not None:
        simulate, words = at_desk(simulate, wanted.lying, wanted.desk, lambda line: SCREEN.print(line, markup=False))
    with threadpool_limits(1), _Bars() as bars:
        scanner = Scanner(patient_of(wanted.patient), head_array(wanted.coils), wanted.lying.motion)
        order = Order(protocol.name, patient_position=wanted.lying.position)
        staged = stage(scanner, simulate, order, faults)
        result = run_scan(Preceded(staged.played, staged.steps, words), protocol.name, sending, bars.watch)
    for truth in staged.truths:
        SCREEN.print(f"truth: {truth}", markup=False)
    return _finish(Shown(protocol.name, protocol.title, result, simulate, staged.truths), wanted)


def _finish(shown: Shown, wanted: Wanted) -> int:
    keep(shown.result, wanted.out, shown.truths)
    text = page(shown.title, [shown], {"plugin": wanted.connect})
    (wanted.out / "index.html").write_text(text, encoding="utf-8")
    return _verdict([shown], wanted.out / "index.html")


def replay_command(file: Path, pace: str, config: str, group: str, wanted: Wanted) -> int:
    """Send a recording; returns the exit code."""
    recording = read_recording(file, group)
    timed = recording.paced(pace)
    clock: Clock = VirtualClock() if pace == "max" else WallClock()
    where = _address(wanted.connect, wanted.bus)
    with _Bars() as bars:
        bars.watch(file.name, 0, len(recording.headers))
        result = play(Session(where.host, where.port, config, where.bus), recording.xml, timed, clock)
        bars.watch(file.name, result.readouts, len(recording.headers))
    name = parse_header(recording.xml).protocol_name or file.stem
    return _finish(Shown(file.stem, f"{file.name}: {name}", result), wanted)


def console_command(bus: str, seconds: float | None) -> int:
    """Print events until the time is over; returns the exit code."""
    end = time.monotonic() + (seconds if seconds is not None else 1e12)
    with Subscriber(bus) as subscriber:
        SCREEN.print(f"listening to {bus}, Ctrl-C ends")
        while (left := end - time.monotonic()) > 0:
            event = subscriber.receive(timeout_s=min(left, 0.5))
            if isinstance(event, Flag):
                SCREEN.print(f"{event.severity.value:8}{event.code}: {event.message} {event.advice}", markup=False)
            elif isinstance(event, ImageReady):
                where = f"series {event.series} slice {event.slice} repetition {event.repetition}"
                SCREEN.print(f"image   {where}, {event.latency_ms:.1f} ms, {event.engine}", markup=False)
            elif event is not None:
                SCREEN.print(f"{event.topic:8}{event.model_dump_json(exclude={'version', 'topic'})}", markup=False)
    return 0


def landmarks_command(out: Path, lying: Lying, missing: tuple[str, ...]) -> int:
    """Write the true landmarks of the simulated head; returns the exit code."""
    found = head_landmarks(mni_head(), lying.position, lying.pose)
    for name in missing:
        if name not in found.landmarks:
            raise SimulationError(f"--without {name}: no such landmark. {nearest(name, found.landmarks)}")
    kept = {name: place for name, place in found.landmarks.items() if name not in missing}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(write_landmarks(found.model_copy(update={"landmarks": kept})), encoding="utf-8")
    SCREEN.print(f"{len(kept)} landmarks: {out}")
    return 0


def faults_command() -> None:
    """Print the table of faults."""
    title = "scanside-sim scan PROTOCOL --fault NAME@PLACE:STRENGTH,key=value"
    table = Table(title=title, title_justify="left")
    for column in ("name", "what goes wrong", "place", "strength", "keys"):
        table.add_column(column, no_wrap=column in {"name", "place", "strength"})
    for fault in FAULTS.values():
        strength = f"{fault.strength:g} {fault.unit}" if fault.unit else "-"
        keys = (f"{name}={key.shown(key.default)}{key.unit}" for name, key in fault.keys.items())
        table.add_row(fault.name, fault.what, _place(fault), strength, ", ".join(keys))
    SCREEN.print(table)
    meaning = {name: key.what for fault in reversed(FAULTS.values()) for name, key in fault.keys.items()}
    SCREEN.print("Keys: " + "; ".join(f"{name}: {what}" for name, what in meaning.items()), highlight=False)
    SCREEN.print(
        "Place, strength and keys are those that hold if none is given. A place is the number of an imaging readout "
        "(120), a time (1.5s), or a share of the scan (50%). σ is the standard deviation of a coil's noise.\n"
        "Example: --fault spike@120:10,coil=3 --fault motion@50%:3mm,turn=2deg",
        highlight=False,
    )


def _place(fault: Fault) -> str:
    """Where it happens if no place is given."""
    if fault.cut:
        return f"{fault.place} {'readouts' if fault.name == 'vanish' else 'bytes'}"
    return fault.place or ("from 0s" if fault.placed else "-")

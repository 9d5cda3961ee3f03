"""scanside-sim: a scanner, a patient and a console on the command line."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hw_sim.errors import LinkError, SimulationError

if TYPE_CHECKING:
    from hw_sim.prescribed import Lying

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""A simulated MR scanner that talks to `scanside serve` over TCP, as a real one would.

    [bold]scanside-sim exam head[/]                      start a plugin, scan a head, show the page\n
    [bold]scanside-sim scan brain_gre_r4 --port 9002[/]  one scan to a plugin that runs already\n
    [bold]scanside-sim replay raw.h5 --pace 5[/]         recorded raw data, one readout every 5 ms\n
    [bold]scanside-sim console tcp://127.0.0.1:9003[/]   watch flags and images on the bus\n
    [bold]scanside-sim faults[/]                         what can be made to go wrong\n
    [bold]scanside-sim campaign[/]                       what the checks find of it, scan after scan\n
    [bold]scanside-sim geometry-check[/]                 does everything lie where its header says?
    """,
)

Connect = Annotated[str, typer.Option(help="HOST:PORT of a plugin that runs already.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The same on this machine: 127.0.0.1:PORT.")]
Out = Annotated[Path, typer.Option(help="Folder for images, flags, timeline and page.")]
Bus = Annotated[str | None, typer.Option(help="Bus address of that plugin, to collect its flags.")]
Coils = Annotated[int, typer.Option(min=4, max=64, help="Receive loops around the head.")]

Position = Annotated[str, typer.Option(help="How the patient lies: HFS, HFP, HFDR, HFDL, FFS, FFP, FFDR, FFDL.")]
Turn = Annotated[tuple[float, float, float], typer.Option(help="Turn of the patient, rotation vector in degrees, LPS.")]
Shift = Annotated[tuple[float, float, float], typer.Option(help="Shift of the patient, mm, LPS.")]
Subject = Annotated[
    str, typer.Option(help="Whom the header names (patientID): `scanside serve --priors` knows him again by it.")
]

FAULT: Final = "What goes wrong, NAME@PLACE:STRENGTH,key=value; may be repeated; see `scanside-sim faults`."


def _here(port: int | None) -> str:
    return f"127.0.0.1:{port}" if port else ""


def _fail(problem: object) -> typer.Exit:
    typer.echo(f"scanside-sim: {problem}", err=True)
    return typer.Exit(1)


@app.command()
def exam(  # noqa: PLR0913, PLR0917 - a command line has many options
    name: Annotated[str, typer.Argument(help="Name of an exam (head), or a .toml file.")] = "head",
    connect: Annotated[str | None, typer.Option(help="HOST:PORT; absent: a plugin is started for the exam.")] = None,
    bus: Bus = None,
    out: Out = Path("out/exam"),
    virtual_time: Annotated[bool, typer.Option(help="Do not wait for the sequence's own times.")] = False,  # noqa: FBT002
    obey: Annotated[bool, typer.Option(help="Stop, and acquire again, as the plugin advises.")] = False,  # noqa: FBT002
    subject: Subject = "",
) -> None:
    """Run a whole exam in real time and show what came of it in OUT/index.html.

    Exits 1 if an image is missing, saying which.
    """
    from hw_sim.commands import exam_command

    _run(lambda: exam_command(name, connect, bus, out, virtual_time=virtual_time, obey=obey, subject=subject))


@app.command()
def scan(  # noqa: PLR0913, PLR0917 - a command line has many options
    protocol: Annotated[str, typer.Argument(help=r"Scan protocol with a \[simulate] table, by name or file.")],
    connect: Connect = "127.0.0.1:9002",
    port: Port = None,
    bus: Bus = None,
    out: Out = Path("out/scan"),
    patient: Annotated[str, typer.Option(help="mni, phantom, or a NIfTI file.")] = "phantom",
    coils: Coils = 16,
    virtual_time: Annotated[bool, typer.Option(help="Do not wait for the sequence's own times.")] = False,  # noqa: FBT002
    fault: Annotated[list[str] | None, typer.Option(help=FAULT)] = None,
    at: Annotated[int | None, typer.Option(min=0, help="Place of faults that name none: number of a readout.")] = None,
    position: Position = "HFS",
    turn: Turn = (0.0, 0.0, 0.0),
    shift: Shift = (0.0, 0.0, 0.0),
    desk: Annotated[
        str | None,
        typer.Option(help="Wait at this address for a prescription (`scanside plan --console`): tcp://127.0.0.1:9004."),
    ] = None,
    decide: Annotated[
        str, typer.Option(help="What is done with it: accept, override (5 mm off) or refuse.")
    ] = "accept",
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait, then the default planes are taken.")] = 60.0,
    subject: Subject = "",
) -> None:
    """Play one scan protocol to a plugin.

    Example: scanside-sim scan brain_gre_r4 --patient mni --fault motion@50%:3mm --fault spike@120:10,coil=3
    Example: scanside-sim scan brain_gre_r4 --patient mni --turn 8 -5 12 --desk tcp://127.0.0.1:9004
    """
    from hw_sim.commands import Wanted, scan_command
    from hw_sim.prescribed import AtDesk, decision_of

    def command() -> int:
        lying = _lying(position, turn, shift)
        waiting = None if desk is None else AtDesk(desk, decision_of(decide), patience)
        wanted = Wanted(_here(port) or connect, bus, out, patient, coils, virtual_time, tuple(fault or ()), at)
        return scan_command(protocol, replace(wanted, lying=lying, desk=waiting, subject=subject))

    _run(command)


@app.command()
def landmarks(
    out: Annotated[Path, typer.Option(help="TOML file for `scanside plan --landmarks`.")] = Path("out/landmarks.toml"),
    position: Position = "HFS",
    turn: Turn = (0.0, 0.0, 0.0),
    shift: Shift = (0.0, 0.0, 0.0),
    without: Annotated[list[str] | None, typer.Option(help="Leave a landmark out; may be repeated.")] = None,
) -> None:
    """Write where landmarks of the simulated head (`--patient mni`) lie, as a perfect reader of a scout would.

    Example: scanside-sim landmarks --turn 8 -5 12 --shift 10 0 -5 --out head.toml
    """
    from hw_sim.commands import landmarks_command

    _run(lambda: landmarks_command(out, _lying(position, turn, shift), tuple(without or ())))


def _lying(position: str, turn: tuple[float, float, float], shift: tuple[float, float, float]) -> "Lying":
    from hw_sim.devices import Pose
    from hw_sim.prescribed import Lying
    from protocols.geometry import DEVICE_FROM_PATIENT
    from protocols.problems import nearest

    if position not in DEVICE_FROM_PATIENT:
        raise SimulationError(f"--position {position}: no such position. {nearest(position, DEVICE_FROM_PATIENT)}")
    return Lying(position, Pose(shift, turn))


@app.command()
def replay(  # noqa: PLR0913, PLR0917 - a command line has many options
    file: Annotated[Path, typer.Argument(help="ISMRMRD HDF5 file with raw data.")],
    pace: Annotated[str, typer.Option(help="recorded, max, or a TR in ms.")] = "recorded",
    connect: Connect = "127.0.0.1:9002",
    port: Port = None,
    bus: Bus = None,
    out: Out = Path("out/replay"),
    config: Annotated[str, typer.Option(help="Scan protocol to ask for; auto: the plugin chooses.")] = "auto",
    group: Annotated[str, typer.Option(help="HDF5 group of the data.")] = "dataset",
) -> None:
    """Send recorded raw data as a scanner would, and keep the images that come back.

    Example: scanside-sim replay brain16_r3.h5 --pace 5 --out out/brain
    """
    from hw_sim.commands import Wanted, replay_command

    _run(lambda: replay_command(file, pace, config, group, Wanted(_here(port) or connect, bus, out)))


@app.command()
def console(
    bus: Annotated[str, typer.Argument(help="Bus address that the plugin printed, tcp://HOST:PORT.")],
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; absent: at Ctrl-C.")] = None,
) -> None:
    """Print flags, images and metrics live, as they come over the bus."""
    from hw_sim.commands import console_command

    _run(lambda: console_command(bus, seconds))


@app.command()
def campaign(
    scans: Annotated[int, typer.Option(min=1, help="How many short scans.")] = 100,
    seed: Annotated[int, typer.Option(help="Another number, other scans.")] = 1,
    clean: Annotated[float, typer.Option(min=0, max=1, help="Share of scans in which nothing goes wrong.")] = 0.5,
    fault: Annotated[list[str] | None, typer.Option(help="Only these faults, by name; may be repeated.")] = None,
    patient: Annotated[list[str] | None, typer.Option(help="mni, phantom, or NIfTI files; may be repeated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for campaign.md, campaign.png and CSV files.")] = Path(
        "out/campaign"
    ),
) -> None:
    """Play short scans with random faults to a plugin of their own; count what its checks find and flag for nothing.

    Example: scanside-sim campaign --scans 1000
    """
    from hw_sim.campaign_command import CampaignWanted, campaign_command

    who = tuple(patient or ("mni", "phantom"))
    _run(lambda: campaign_command(CampaignWanted(scans, seed, clean, tuple(fault or ()), who, out)))


@app.command()
def faults() -> None:
    """List what can be made to go wrong with `scan --fault`, where, how strongly, with which details."""
    from hw_sim.commands import faults_command

    faults_command()


@app.command("geometry-check")
def geometry_check(
    connect: Annotated[
        str | None, typer.Option(help="HOST:PORT of any MRD server; absent: a plugin is started.")
    ] = None,
    config: Annotated[
        str, typer.Option(help="What to ask the server for, a 2-D Cartesian reconstruction.")
    ] = "cartesian",
    tolerance: Annotated[float, typer.Option(min=1e-4, help="Millimetres that a bead may be off.")] = 0.05,
    out: Out = Path("out/geometry"),
) -> None:
    """Acceptance test: beads of known place must lie where image headers, NIfTI and DICOM files say.

    Sends 256 small scans: 8 patient positions x axial, sagittal, coronal, oblique x each direction either way.
    Prints a table and a verdict; exits 1 where a bead lies elsewhere, and says what is mirrored, swapped or shifted.

    Example: scanside-sim geometry-check --connect 192.168.2.2:9002 --config default
    """
    from hw_sim.acceptance.command import geometry_command

    _run(lambda: geometry_command(connect, config, tolerance, out))


def _run(command: Callable[[], int]) -> None:
    """Run a command; what cannot be done is one clear line and exit code 1."""
    from protocols.bus import BusError
    from protocols.errors import PeerError
    from protocols.scan_protocol import ProtocolError

    try:
        code = command()
    except (SimulationError, LinkError, ProtocolError, BusError, PeerError) as problem:
        raise _fail(problem) from problem
    except KeyboardInterrupt:
        raise _fail("stopped by Ctrl-C") from None
    sys.stdout.flush()
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    app()

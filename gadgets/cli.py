"""The command line of the plugin; slow imports stand inside the commands, so that --help is at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gadgets.history.commands import limits, qc

__all__ = ["app"]

app = typer.Typer(
    name="scanside",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Real-time MR reconstruction and quality control beside the scanner.

    Not a medical device: its images and flags are not for diagnosis.

    \b
    scanside serve                     wait for a scanner on port 9002
    scanside-sim exam head             let a simulated scanner connect to it
    scanside check my_folder/knee.toml is this scan protocol right, and what will it do?
    scanside info --watch              what is the running server doing?
    scanside plan --landmarks FILE     where should the next slices lie?
    scanside geometry-check            do images lie where their headers say?
    scanside qc history --history FILE how were the scans until now?
    """,
)
app.add_typer(qc, name="qc")
app.add_typer(limits, name="limits")


class Peer(str, Enum):
    """Who connects."""

    AUTO = "auto"
    SCANNER = "scanner"
    GADGETRON = "gadgetron"


Folders = Annotated[
    list[Path] | None,
    typer.Option("--protocols", metavar="DIR", help="Folder of your own scan protocols (*.toml); may be repeated."),
]
Unsigned = Annotated[
    bool, typer.Option("--allow-unsigned", help="Run networks that are not signed by a key that this machine trusts.")
]
Keys = Annotated[Path | None, typer.Option("--bus-keys", metavar="DIR", help="CURVE keys made by `scanside keys DIR`.")]
Host = Annotated[str, typer.Option(help="Address of the MRD port; 0.0.0.0 lets other machines in.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="MRD port; 0 takes a free one.")]


def _fail(text: object) -> NoReturn:
    typer.echo(f"scanside: {text}", err=True)
    raise typer.Exit(1)


@contextmanager
def _told() -> Iterator[None]:
    """End a command with one clear line where something is wrong that its user can change."""
    from protocols.bus_keys import BusError
    from protocols.problems import ProtocolError

    try:
        yield
    except (BusError, ProtocolError, OSError) as error:
        _fail(error)


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - one parameter an option
    host: Host = "127.0.0.1",
    port: Port = 9002,
    bus: Annotated[str, typer.Option(help="Where flags, metrics and health are published.")] = "tcp://127.0.0.1:*",
    answers: Annotated[str, typer.Option(help="Where health can be asked for.")] = "tcp://127.0.0.1:*",
    bus_keys: Keys = None,
    protocols: Folders = None,
    archive: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep all raw data here, as ISMRMRD HDF5.")
    ] = None,
    priors: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep scouts and planes here, so that planes come back at follow-up."),
    ] = None,
    console: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Ask the console there to measure where slices are prescribed.")
    ] = "",
    console_patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a console that does not answer is flagged.")
    ] = 5.0,
    console_keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="CURVE keys to ask it with; absent: those of --bus-keys.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Offer Prometheus metrics on this port.")
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the log here too, as JSON lines.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep flags and figures of every scan here, without identity.")
    ] = None,
    history_days: Annotated[float, typer.Option(min=1, help="Forget scans that are older.")] = 730,
    history_scans: Annotated[int, typer.Option(min=1, help="Forget all but the last so many scans.")] = 100_000,
    peer: Annotated[Peer, typer.Option(help="Who connects; auto tells them apart by their config.")] = Peer.AUTO,
    allow_unsigned: Unsigned = False,  # noqa: FBT002
) -> None:
    """Wait for scanners and turn their raw data into images and flags, until Ctrl-C.

    A client sends the name of a scan protocol (or "default": the header decides), the ISMRMRD header and its readouts,
    over MRD/TCP, as FIRE, OpenRecon and Gadgetron clients do. Once ready, one line of JSON on stdout says where.

    \b
    scanside serve                              for programs on this machine
    scanside serve --host 0.0.0.0               for the scanner's host computer
    scanside serve --protocols my_folder --archive raw_data --history history.db
    scanside serve --console tcp://127.0.0.1:9004               (REP; then: scanside-sim scan … --desk the same)
    scanside serve --bus tcp://0.0.0.0:9003 --bus-keys keys     (first: scanside keys keys)
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.console import PATIENCE, Site
        from gadgets.history.chronicle import Keep
        from gadgets.serve import ServeError, ServeOptions
        from gadgets.serve import serve as run

        patience = replace(PATIENCE, first_s=console_patience)
        options = ServeOptions(
            host=host,
            port=port,
            bus=bus,
            answers=answers,
            bus_keys=bus_keys,
            protocols=tuple(protocols or ()),
            archive=archive,
            priors=priors,
            console=Site(console, console_keys or bus_keys, patience) if console else None,
            metrics_port=metrics_port,
            log_file=log_file,
            peer=peer.value,
            allow_unsigned=allow_unsigned,
            open_networks=True,
            history=None if history is None else Keep(history, history_days, history_scans),
        )
        try:
            run(options)
        except ServeError as error:
            _fail(error)


@app.command()
def check(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|NAME]...", help="TOML files, or names of scan protocols; none: all that are known."
        ),
    ] = None,
    protocols: Folders = None,
    allow_unsigned: Unsigned = False,  # noqa: FBT002
) -> None:
    """Explain the chain that a scan protocol makes, or list everything that is wrong with it (exit code 1).

    \b
    scanside check my_folder/knee.toml
    scanside check cartesian brain_gre_r4
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.explain import examine
        from protocols.scan_protocol import names

        folders = tuple(protocols or ())
        found = [examine(one, folders, allow_unsigned=allow_unsigned) for one in what or names(folders)]
    typer.echo("\n".join(line for lines, _ in found for line in lines))
    wrong = [str(problem) for _, problems in found for problem in problems]
    if wrong:
        typer.echo("\n".join(wrong), err=True)
        raise typer.Exit(1)


@app.command()
def info(
    host: Host = "127.0.0.1",
    port: Port = 9002,
    watch: Annotated[  # noqa: FBT002 - an option, always by name
        bool, typer.Option("--watch", help="Print everything on the bus as it comes, until Ctrl-C.")
    ] = False,
    bus: Annotated[str, typer.Option(help="The bus to watch; else the server at --port is asked for it.")] = "",
    bus_keys: Keys = None,
    protocols: Folders = None,
) -> None:
    """Say what is installed, which scan protocols are known, and how a running server is.

    \b
    scanside info
    scanside info --port 9010
    scanside info --watch
    scanside info --watch --bus tcp://127.0.0.1:9003
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets import look
        from protocols.scan_protocol import names

        if watch:
            look.watch(bus or look.query(host, port, "scanside::bus"), bus_keys)
            return

        engines = [name for name in ("onnxruntime", "openvino", "tensorrt") if find_spec(name) is not None]
        typer.echo(f"scanside  {version('scanside')} on Python {sys.version.split()[0]}")
        typer.echo(f"engines   {', '.join(['linear', *engines])}")
        typer.echo(f"protocols {', '.join(names(tuple(protocols or ())))}")
        typer.echo(f"server    {look.health(host, port)}")


@app.command()
def plan(
    landmarks: Annotated[Path, typer.Option(metavar="FILE", help="TOML with landmarks of a scout, LPS mm.")],
    anatomy: Annotated[str, typer.Option(help="Name or TOML file; absent: the one that the landmarks name.")] = "",
    name: Annotated[
        list[str] | None, typer.Option("--plan", metavar="NAME", help="What to prescribe, may be repeated; none: all.")
    ] = None,
    console: Annotated[str, typer.Option(metavar="ADDRESS", help="Ask this console to measure there.")] = "",
    bus_keys: Keys = None,
    json_lines: Annotated[  # noqa: FBT002 - an option, always by name
        bool, typer.Option("--json", help="One JSON object a prescription in place of the table.")
    ] = False,
) -> None:
    """Tell where the next slices should lie, from landmarks of a scout; a missing landmark is never guessed.

    Exits 1 where a plan that was named is refused, or the console did not do as it was told.

    \b
    scanside-sim landmarks --out head.toml       (those of the simulated head)
    scanside plan --landmarks head.toml
    scanside plan --landmarks head.toml --plan brain_axial --console tcp://127.0.0.1:9004
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.plan import plan as prescribe
        from gadgets.plan import submit, table

        made = prescribe(landmarks, anatomy, name or ())
        if json_lines:
            typer.echo("\n".join(one.model_dump_json() for one in made))
        else:
            table(made)
        if console and len(made) != 1:
            _fail(f"--console takes one prescription, {len(made)} were made; name it with --plan")
        wrong = submit(made[0], console, bus_keys) if console else []
    for line in wrong:
        typer.echo(f"scanside: {line}", err=True)
    if wrong or (name and any(one.status == "REFUSED" for one in made)):
        raise typer.Exit(1)


@app.command(
    "geometry-check",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def geometry_check(context: typer.Context) -> None:
    """Acceptance test of any server: do images lie where their headers say? The same as scanside-sim geometry-check."""
    import subprocess

    simulator = Path(sys.executable).with_name("scanside-sim")
    if not simulator.exists():
        _fail(f"{simulator} is not here, and it plays the scanner of the test; type: pip install 'scanside[sim]'")
    done = subprocess.run([simulator, "geometry-check", *context.args], check=False)  # noqa: S603 - what was typed
    raise typer.Exit(done.returncode)


@app.command()
def schema(
    topic: Annotated[
        str, typer.Argument(help="One topic of the bus, or answer: what a console answers; none: all.")
    ] = "",
) -> None:
    """Print the JSON Schema of what goes over the bus, by topic, and of a console's answer to a prescription.

    A console, at its REP or ROUTER, is asked {"ask": "prescription", "prescription": {…}}, and answers
    {"version": 1, "prescription": {answer}}; scanside serve --console ADDRESS says where it is.

    \b
    scanside schema flag > flag.schema.json
    scanside schema answer
    """  # noqa: D301 - click reads \b
    import json

    with _told():
        from protocols.bus import BusError, schemas
        from protocols.prescription import Answer
        from protocols.problems import nearest

        known = schemas() | {"answer": Answer.model_json_schema(mode="serialization")}
        if topic and topic not in known:
            raise BusError(f"no topic '{topic}'. {nearest(topic, known)}")
        typer.echo(json.dumps(known[topic] if topic else known, indent=2))


@app.command()
def keys(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Make CURVE keys, without which the bus does not leave this machine.

    Keep DIR with the server. A client gets client.key_secret and server.key, nothing else. To admit another client,
    put its public key into DIR/clients.

    \b
    scanside keys keys
    scanside serve --bus tcp://0.0.0.0:9003 --bus-keys keys
    """  # noqa: D301 - click reads \b
    with _told():
        from protocols.bus import make_keys

        for name, path in make_keys(folder).items():
            typer.echo(f"{name:<16} {path}")

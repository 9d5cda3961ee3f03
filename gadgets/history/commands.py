"""`scanside qc` and `scanside limits`; slow imports stand inside the commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gadgets.history.record import Past
    from protocols.tables import ScanProtocol

__all__ = ["limits", "qc"]

qc = typer.Typer(no_args_is_help=True, help="Look at the quality of past scans.")
limits = typer.Typer(no_args_is_help=True, help="Learn limits from past scans, and try them on past scans.")

History = Annotated[
    Path | None, typer.Option("--history", metavar="FILE", help="The store that `scanside serve --history FILE` keeps.")
]
Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="flags.json of exams, or stores of other servers.")
]
Protocol = Annotated[str, typer.Option("--protocol", metavar="NAME", help="The scan protocol: a name or a TOML file.")]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--protocols", metavar="DIR", help="Folder of your own scan protocols (*.toml); may be repeated."),
]


@contextmanager
def _told() -> Iterator[None]:
    """End a command with one clear line where something is wrong that its user can change."""
    import sqlite3

    from gadgets.history.store import StoreError
    from protocols.problems import ProtocolError

    try:
        yield
    except (ProtocolError, StoreError, OSError, sqlite3.Error) as error:
        typer.echo(f"scanside: {error}", err=True)
        raise typer.Exit(1) from error


@qc.command("history")
def history(
    store: Annotated[Path, typer.Option("--history", metavar="FILE", help="The store that the server keeps.")],
    protocol: Annotated[str, typer.Option(metavar="NAME", help="Only scans of this scan protocol.")] = "",
    code: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only this flag or figure, scan by scan; may be repeated.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Only scans from this day on.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the figures over time into this file.")] = None,
) -> None:
    """Show figures of past scans, their limits, flags and drift alarms, as a table and as a picture.

    \b
    scanside qc history --history history.db
    scanside qc history --history history.db --protocol brain_gre_r4 --code snr --since 2026-11-01 --out snr.png
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.history import show
        from gadgets.history.picture import picture
        from gadgets.history.store import Store, StoreError
        from protocols.problems import nearest

        with Store(store) as opened:
            pasts = opened.pasts(protocol, 0.0 if since is None else since.timestamp())
            numbers = {past.scan for past in pasts}
            found = [alarm for alarm in opened.alarms() if alarm.scan in numbers]
        drawn = {name for past in pasts for name in past.scores}
        known = sorted(drawn | {name for past in pasts for name in past.told})
        for name in code or ():
            if name not in known:
                raise StoreError(f"{store}: no scan has '{name}'. {nearest(name, known)}")
        console = show.console()
        tables = [show.scans(pasts, name, found) for name in code] if code else list(show.overview(pasts, found))
        for table in tables:
            console.print(table)
        console.print(show.alarms(found) if found else f"{len(pasts)} scans, no drift alarm")
        if out is not None:
            out.write_bytes(picture(pasts, code or [name for name in known if name in drawn], found))
            console.print(f"drawn: {out}")


@limits.command("fit")
def fit(  # noqa: PLR0913, PLR0917 - one parameter an option
    protocol: Protocol,
    files: Files = None,
    store: History = None,
    share: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Share of clean scans that the limit is to pass.")
    ] = 0.99,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="How surely it passes as many.")] = 0.95,
    days: Annotated[int, typer.Option(min=1, help="How long the limits hold.")] = 365,
    code: Annotated[list[str] | None, typer.Option(metavar="CODE", help="Only this limit; may be repeated.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="TOML", help="A new file for the limits; else the screen.")
    ] = None,
    protocols: Folders = None,
) -> None:
    """Learn limits of a scan protocol from past scans: a percentile of clean ones, whatever their distribution.

    Scans in which another limit was broken are left out. With too few scans a limit is refused, and how many are
    needed is told: 299 for the 99th percentile with 95 % confidence, 59 for the 95th.

    \b
    scanside limits fit --protocol brain_gre_r4 --history history.db
    scanside limits fit --protocol knee.toml exams/*/flags.json --share 0.95 --out limits.toml
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.history.fit import Refused, Wish, write
        from gadgets.history.fit import fit as learn
        from gadgets.history.store import StoreError
        from protocols.problems import nearest

        chosen, pasts = _pasts(protocol, files, store, protocols)
        for name in code or ():
            if name not in chosen.limits:
                raise StoreError(f"{chosen.name}: no limit '{name}'. {nearest(name, chosen.limits)}")
        wish = Wish(share, confidence, date.today() + timedelta(days), tuple(code or ()))
        results = list(learn(chosen, pasts, wish))
        text = write(results, wish)
        for refused in results:
            if isinstance(refused, Refused):
                typer.echo(f"not learned: {refused.code}: {refused.why}", err=True)
        if not text:
            raise StoreError(f"no limit of {chosen.name} could be learned from {len(pasts)} scans")
        if out is None:
            typer.echo(text, nl=False)
            return
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
        typer.echo(
            f"written: {out}; put its tables in place of those of {chosen.where}, then: scanside check", err=True
        )


@limits.command("replay")
def replay(protocol: Protocol, files: Files = None, store: History = None, protocols: Folders = None) -> None:
    """Tell what a scan protocol's limits would have flagged in past scans, limit by limit.

    \b
    scanside limits replay --protocol brain_gre_r4 --history history.db
    scanside limits replay --protocol new_limits/knee.toml exams/*/flags.json
    """  # noqa: D301 - click reads \b
    with _told():
        from gadgets.history.replay import replay as judge
        from gadgets.history.show import console, replayed

        chosen, pasts = _pasts(protocol, files, store, protocols)
        console().print(replayed(list(judge(chosen, pasts)), chosen.name, len(pasts)))


def _pasts(
    protocol: str, files: list[Path] | None, store: Path | None, folders: list[Path] | None
) -> "tuple[ScanProtocol, list[Past]]":
    """The scan protocol of a name or file, and its past scans."""
    from gadgets.history.sources import read
    from gadgets.history.store import StoreError
    from protocols.scan_protocol import find, load, load_all

    sites = tuple(folders or ())
    chosen = load(Path(protocol)) if protocol.endswith(".toml") else find(protocol, sites)
    wanted = [*(files or ()), *([] if store is None else [store])]
    if not wanted:
        raise StoreError("got no past scans; name files with flags (flags.json of exams), or --history FILE")
    names = {known.short_hash: known.name for known in load_all(sites)}
    pasts = read(wanted, chosen.name, names)
    if not pasts:
        raise StoreError(f"no scan of {chosen.name} in {', '.join(map(str, wanted))}")
    return chosen, pasts

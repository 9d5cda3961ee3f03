"""What the commands `keygen`, `sign`, `compile` and `verify` print, and how they end."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engines.errors import EngineError
from engines.model import Model, find_model, load_model
from engines.plans import user_plans
from engines.signing import key_folders
from trt_build.compile import compile_model
from trt_build.data.errors import DataError
from trt_build.data.volumes import Source, open_source
from trt_build.sign import make_key, sign_folder
from trt_build.verify import Verdict, known_scans, record, verify

__all__ = ["compile_command", "keygen_command", "sign_command", "verify_command"]

console = Console(highlight=False)


@contextmanager
def _told() -> Iterator[None]:
    """End with one line where something of ours went wrong."""
    try:
        yield
    except (EngineError, DataError) as error:
        typer.echo(f"scanside-build: {error}", err=True)
        raise typer.Exit(1) from error


def keygen_command(path: Path, *, passphrase: bool) -> None:
    """Make a pair of keys and say what to do with either."""
    with _told():
        secret = typer.prompt("passphrase", hide_input=True, confirmation_prompt=True) if passphrase else ""
        name, public = make_key(path, secret)
        shipped, own = key_folders()
        typer.echo(f"key {name}\n  private: {path}  keep it, and keep it out of every repository")
        typer.echo(f"  public:  {public}\nto trust it on a machine:   cp {public} {own}/")
        typer.echo(f"to ship models signed by it: cp {public} {shipped}/ and commit that")


def sign_command(model: str, key: Path) -> None:
    """Sign a model folder."""
    with _told():
        folder = find_model(model)
        name, trusted = sign_folder(folder, key, lambda: str(typer.prompt(f"passphrase of {key}", hide_input=True)))
        typer.echo(f"{folder}: signed with the key {name}" + ("" if trusted else f", not trusted here: {_hint(key)}"))


def _hint(key: Path) -> str:
    return f"cp {key.with_name(f'{key.stem}.public.pem')} {key_folders()[1]}/"


def compile_command(model: str, backend: str, out: Path | None, *, allow_unsigned: bool) -> None:
    """Compile every graph of a model."""
    with _told():
        compile_model(_loaded(model, allow_unsigned=allow_unsigned), backend, console, out)


def verify_command(
    model: str, backends: Sequence[str], data: Path, *, record_passed: bool, allow_unsigned: bool
) -> None:
    """Compare all backends, print a table, and end with 1 where one fails."""
    with _told():
        loaded = _loaded(model, allow_unsigned=allow_unsigned or record_passed)
        setups = list(track(known_scans(_source(data), loaded), "simulating scans", transient=True, console=console))
        judged = verify(loaded, iter(setups), user_plans(console.print), backends)
        verdicts = list(track(judged, "comparing", transient=True, console=console))
        if not verdicts:
            raise EngineError("no backend but the truth works here, nothing was compared; scanside-build info says why")
        console.print(_table(verdicts, len(setups)))
        if record_passed:
            wrong = {verdict.precision for verdict in verdicts if verdict.wrong}
            record(loaded.folder, [verdict.precision for verdict in verdicts if verdict.precision not in wrong])
            typer.echo(f"{loaded.folder}: card written; sign it with: scanside-build sign {loaded.folder} --key FILE")
    if any(verdict.wrong for verdict in verdicts):
        sys.exit(1)


def _loaded(model: str, *, allow_unsigned: bool) -> Model:
    return load_model(model, allow_unsigned=allow_unsigned)


def _source(data: Path) -> Source | None:
    if not data.is_dir():
        console.print(f"no folder {data}: phantoms only")
        return None
    return open_source(data, "validation")


def _table(verdicts: Sequence[Verdict], scans: int) -> Table:
    table = Table(title=f"against onnxruntime in single precision, worst of {scans} scans")
    for heading in ("graph", "by", "vectors", "images", "dB", "SSIM", "verdict"):
        table.add_column(heading)
    for v in verdicts:
        figures = [f"{value:.1e}" for value in (v.vectors, v.images)] + [f"{v.psnr_db:.4f}", f"{v.ssim:.1e}"]
        table.add_row(v.graph, f"{v.backend} {v.version} ({v.precision})", *figures, v.wrong or "same images")
    return table

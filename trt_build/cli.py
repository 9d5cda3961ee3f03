"""The command line of the builder: what it can build with here, and what is done with a model folder of any task."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from engines.driver import driver
from trt_build import cli_finders, cli_unrolled
from trt_build.options import DATA, AllowUnsigned

__all__ = ["app"]

PARTS = {  # module -> (distribution, what it is for, how to get it)
    "torch": ("torch", "training and export", "pip install 'scanside[build]'"),
    "onnx": ("onnx", "the exchange format between them", "pip install 'scanside[build]'"),
    "onnxruntime": ("onnxruntime", "running networks on the CPU, the truth that plans are verified against", ""),
    "openvino": ("openvino", "running networks on the CPU, the default", ""),
    "tensorrt": ("tensorrt", "plans for the GPU at hand", "pip install 'scanside[gpu]'"),
    "tensorrt_rtx_bindings": (
        "tensorrt-rtx-cu13-bindings",
        "the same, and to build without a GPU",
        "pip install 'scanside[rtx]'",
    ),
}

app = typer.Typer(
    name="scanside-build",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Make the networks that the plugin runs: the only place that sees torch.

    In the order of a network's life: train, export (torch to ONNX), verify (every backend makes the same images), sign,
    compile (a plan for the GPU at hand).

    \b
    scanside-build train     a network, on simulated scans of a folder of volumes
    \b
    scanside-build train-artefacts  the network that finds artefacts in images
    \b
    scanside-build landmarks where landmarks of heads are, by registration: what the next one learns from
    \b
    scanside-build train-landmarks  the networks that find landmarks in scouts
    \b
    scanside-build compile   a model for a backend, with progress
    \b
    scanside-build verify    that every backend makes the same images
    \b
    scanside-build sign      a model that you vouch for, with a key of keygen
    \b
    scanside-build export    what was trained, to ONNX and a card
    \b
    scanside-build report    what the network reaches, beside what a user would take instead
    \b
    scanside-build trust     whether structures that it invents or erases are told
    \b
    scanside-build positions how far what is prescribed of scouts lies from the truth
    \b
    scanside-build info      what could be built with, on this machine
    """,
)


@app.callback()
def _main() -> None:
    """Keep `info` a command of its own, however few there are."""


@app.command()
def info() -> None:
    """Say which libraries for training, exporting and compiling are here, and whether a GPU's driver is."""
    for module, (distribution, purpose, how) in PARTS.items():
        typer.echo(f"{module:<12} {_release(module, distribution) or 'not here'}: {purpose}" + _hint(module, how))
    typer.echo(f"{'GPU driver':<12} {driver()}")


_UNROLLED = (cli_unrolled.report, cli_unrolled.trust, cli_unrolled.train)
_FINDERS = (cli_finders.train_artefacts, cli_finders.landmarks, cli_finders.train_landmarks, cli_finders.positions)
for _command in (*_UNROLLED, *_FINDERS):
    app.command()(_command)


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(help="Private key to write; the public one is written beside it.")],
    passphrase: Annotated[bool, typer.Option(help="Ask for one, and encrypt the private key with it.")] = False,  # noqa: FBT002
) -> None:
    """Make a pair of Ed25519 keys to sign models with.

    Example: scanside-build keygen ~/keys/site.pem
    """
    from trt_build.commands import keygen_command

    keygen_command(file, passphrase=passphrase)


@app.command()
def sign(
    model: Annotated[str, typer.Argument(help="Name or folder of a model.")],
    key: Annotated[Path, typer.Option(help="Private key, of `keygen`.")],
) -> None:
    """Check a model folder and vouch for it: unsigned or altered ones are not loaded.

    Example: scanside-build sign runs/brain/model --key ~/keys/site.pem
    """
    from trt_build.commands import sign_command

    sign_command(model, key)


@app.command("compile")
def compile_(
    model: Annotated[str, typer.Argument(help="Name or folder of a model.")],
    backend: Annotated[str, typer.Option(help="tensorrt_rtx (builds without a GPU too), tensorrt, openvino, …")],
    out: Annotated[Path | None, typer.Option(help="Folder for the plans too; else the cache only.")] = None,
    allow_unsigned: AllowUnsigned = False,  # noqa: FBT002
) -> None:
    """Build every graph of a model for one backend, and keep the plans for the GPU at hand.

    Example: scanside-build compile NAME --backend tensorrt_rtx
    """
    from trt_build.commands import compile_command

    compile_command(model, backend, out, allow_unsigned=allow_unsigned)


@app.command()
def verify(
    model: Annotated[str, typer.Argument(help="Name or folder of a model.")],
    backend: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of volumes for the test scans; without it phantoms.")] = DATA
    / "heads",
    record: Annotated[bool, typer.Option(help="Write into the card what passed; sign it again then.")] = False,  # noqa: FBT002
    allow_unsigned: AllowUnsigned = False,  # noqa: FBT002
) -> None:
    """Compare the images of every backend with those of ONNX Runtime; what differs is refused from then on.

    Example: scanside-build verify NAME --data ../shared/data/heads
    """
    from trt_build.commands import verify_command

    verify_command(model, backend or [], data, record_passed=record, allow_unsigned=allow_unsigned)


@app.command()
def export(  # noqa: PLR0913, PLR0917 - a command line has many options
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint.pt of `train`.")],
    out: Annotated[Path, typer.Option(help="Model folder to write; its last part is the model's name.")],
    folder: Annotated[Path, typer.Option("--data", help="The folder that it was trained on.")],
    version: Annotated[str, typer.Option(help="Of the model, for the card.")] = "1.0",
    data_name: Annotated[str, typer.Option(help="What the training data is called, for the card.")] = "NIfTI volumes",
    data_licence: Annotated[str, typer.Option(help="Its licence.")] = "not stated",
    data_source: Annotated[str, typer.Option(help="Its address or citation.")] = "",
) -> None:
    """Make a model folder of a checkpoint: ONNX graphs, test vectors, a bound that holds, and a card.

    Example: scanside-build export runs/brain/checkpoint.pt --out brain2d --data ../shared/data/heads
    """
    from trt_build.publish import Options, run

    run(Options(checkpoint, out, folder, version, data_name, data_licence, data_source))


def _release(module: str, distribution: str) -> str | None:
    """Version of what is installed, found without importing it."""
    if find_spec(module) is None:
        return None
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


def _hint(module: str, how: str) -> str:
    return f" ({how})" if how and find_spec(module) is None else ""

"""The command line of the builder: what it can build with here."""

from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from engines.driver import driver

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


class Supervision(str, Enum):
    """What a network learns from."""

    supervised = "supervised"
    ssdu = "ssdu"
    noise2noise = "noise2noise"


DATA = Path("../shared/data")

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


@app.command()
def report(  # noqa: PLR0913, PLR0917 - a command line has many options
    out: Annotated[Path, typer.Option(help="Folder for report.md, report.json, rows.csv and panels/.")],
    data: Annotated[Path, typer.Option(help="Folder with heads/ and mrd/; what is not there is left out.")] = DATA,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model; absent: the shipped one.")] = None,
    backend: Annotated[str, typer.Option(help="What runs it.")] = "auto",
    network: Annotated[Path | None, typer.Option(help="Checkpoint of `train`, in place of a model.")] = None,
    unet: Annotated[Path | None, typer.Option(help="Checkpoint of the peer U-Net; absent: not trained.")] = None,
    varnet: Annotated[Path | None, typer.Option(help="Checkpoint of the peer E2E-VarNet.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="For every method.")] = 2,
    quick: Annotated[bool, typer.Option(help="Few cases, to try it out.")] = False,  # noqa: FBT002
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,  # noqa: FBT002
) -> None:
    """Compare the network with its peers on the same samples: tables, pictures, error maps.

    Example: scanside-build report --out out/report --unet runs/unet/checkpoint.pt
    """
    from trt_build.report.command import Options
    from trt_build.report.command import report as write

    given = {"network": network, "unet": unet, "varnet": varnet}
    checkpoints = tuple((key, path) for key, path in given.items() if path is not None)
    write(Options(out, data, model, backend, checkpoints, threads, quick, allow_unsigned))


@app.command()
def trust(  # noqa: PLR0913, PLR0917 - a command line has many options
    out: Annotated[Path, typer.Option(help="Folder for table.md, roc.png and rows.csv.")],
    data: Annotated[Path, typer.Option(help="Folder with heads/.")] = DATA,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model; absent: the shipped one.")] = None,
    backend: Annotated[str, typer.Option(help="What runs it.")] = "auto",
    split: Annotated[str, typer.Option(help="Whose heads: validation or test.")] = "test",
    quick: Annotated[bool, typer.Option(help="One slice a head.")] = False,  # noqa: FBT002
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,  # noqa: FBT002
) -> None:
    """Plant structures in the network's images and say how well each cue of trust, and the verdict, tells them.

    Example: scanside-build trust --out out/trust
    """
    from trt_build.planted.command import Options
    from trt_build.planted.command import trust as measure

    measure(Options(out, data, model, backend, split, quick, allow_unsigned))


@app.command()
def train(  # noqa: PLR0913, PLR0917 - a command line has many options
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI volumes, with split.csv or without.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint.pt, curves.csv and curves.png.")],
    recipe: Annotated[str, typer.Option(help="Name in trt_build/recipes, or a TOML file of your own.")] = "default",
    network: Annotated[str | None, typer.Option(help="unrolled, unet or varnet: the recipe of that name.")] = None,
    supervision: Annotated[Supervision, typer.Option(help="What the network learns from.")] = Supervision.supervised,
    minutes: Annotated[float | None, typer.Option(help="Be done after so many.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimiser, in place of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="In place of the recipe's.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate scans.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    large: Annotated[bool, typer.Option("--large", help="The recipe for a GPU.")] = False,  # noqa: FBT002
    start: Annotated[Path | None, typer.Option(help="Checkpoint whose weights are the first ones.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,  # noqa: FBT002
) -> None:
    """Train a network on simulated scans of volumes; the recipe `default` takes about 45 minutes on 2 CPU cores.

    Example: scanside-build train ../shared/data/heads --out runs/brain
    """
    from trt_build.training.command import Options, run

    named = {None: recipe, "unrolled": recipe}.get(network, network)
    run(
        Options(
            folder,
            out,
            "large" if large else str(named),
            supervision.value,
            minutes,
            steps,
            seed,
            workers,
            device,
            resume,
            start,
        )
    )


@app.command("train-artefacts")
def train_artefacts(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI volumes, with split.csv or without.")],
    out: Annotated[Path, typer.Option(help="Folder for the simulated images and checkpoint.pt.")],
    scans: Annotated[int, typer.Option(min=1, help="Simulated scans, three images each.")] = 2560,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 7000,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate scans.")] = 2,
) -> None:
    """Train the network that finds artefacts, on heads whose k-space is corrupted; twenty minutes on 2 CPU cores.

    Example: scanside-build train-artefacts ../shared/data/heads --out runs/artefacts
    """
    from trt_build.artefacts.command import Options, run

    run(Options(folder, out, scans, steps, seed, workers))


@app.command()
def landmarks(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI heads with label maps and split.csv.")],
    out: Annotated[Path, typer.Option(help="File to write; trt_build/landmarks/truth.json is the one that is read.")],
) -> None:
    """Find the places of all landmarks in heads by registration of a template; two seconds a head.

    Example: scanside-build landmarks ../shared/data/heads --out trt_build/landmarks/truth.json
    """
    from trt_build.landmarks.truth import run

    run(folder, out)


@app.command("train-landmarks")
def train_landmarks(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI volumes with label maps and split.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for the simulated scouts and checkpoint.pt.")],
    scouts: Annotated[int, typer.Option(min=1, help="Simulated scouts, four views each.")] = 3000,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser for the near view.")] = 2500,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate scouts.")] = 2,
) -> None:
    """Train the networks that find landmarks in scouts, on heads in random poses; twenty minutes on 2 CPU cores.

    Example: scanside-build train-landmarks ../shared/data/heads --out runs/landmarks
    """
    from trt_build.landmarks.command import Options, run

    run(Options(folder, out, scouts, steps, seed, workers))


@app.command()
def positions(  # noqa: PLR0913, PLR0917 - a command line has many options
    data: Annotated[Path, typer.Option(help="Folder of NIfTI volumes with label maps and split.csv.")] = DATA / "heads",
    out: Annotated[Path, typer.Option(help="Folder for report.md, report.json and errors.png.")] = Path(
        "out/positions"
    ),
    model: Annotated[str, typer.Option(help="Name or folder of a model.")] = "head_landmarks",
    scouts: Annotated[int, typer.Option(min=1, help="3-D scouts.")] = 504,
    solved: Annotated[int, typer.Option(min=0, help="3-D scouts that are reconstructed of undersampled k-space.")] = 96,
    localizers: Annotated[int, typer.Option(min=0, help="Three-plane ones.")] = 200,
    contrasts: Annotated[int, typer.Option(min=0, help="3-D ones of contrasts that other sequences make.")] = 200,
    bad: Annotated[int, typer.Option(min=0, help="Of each kind without a whole head.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,  # noqa: FBT002
) -> None:
    """Scan the test subjects in random poses, and compare what is prescribed of the scouts with the truth.

    Example: scanside-build positions --data ../shared/data/heads
    """
    from trt_build.landmarks.positions import Options, run

    run(Options(data, out, model, scouts, solved, localizers, contrasts, bad, workers, allow_unsigned))


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
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,  # noqa: FBT002
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
    allow_unsigned: Annotated[bool, typer.Option(help="Take a model that nobody signed.")] = False,  # noqa: FBT002
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

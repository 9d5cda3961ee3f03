"""Commands of the networks that find artefacts in images and landmarks in scouts."""

from pathlib import Path
from typing import Annotated

import typer

from trt_build.options import DATA, AllowUnsigned

__all__ = ["landmarks", "positions", "train_artefacts", "train_landmarks"]


def train_artefacts(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI volumes, with split.csv or without.")],
    out: Annotated[Path, typer.Option(help="Folder for the simulated images and checkpoint.pt.")],
    scans: Annotated[int, typer.Option(min=1, help="Simulated scans, three images each.")] = 1920,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 6000,
    seed: Annotated[int, typer.Option(help="Of weights and batches.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that simulate scans.")] = 2,
) -> None:
    """Train the network that finds artefacts, on heads whose k-space is corrupted; twenty minutes on 2 CPU cores.

    Example: scanside-build train-artefacts ../shared/data/heads --out runs/artefacts
    """
    from trt_build.artefacts.command import Options, run

    run(Options(folder, out, scans, steps, seed, workers))


def landmarks(
    folder: Annotated[Path, typer.Argument(help="Folder of NIfTI heads with label maps and split.csv.")],
    out: Annotated[Path, typer.Option(help="File to write; trt_build/landmarks/truth.json is the one that is read.")],
) -> None:
    """Find the places of all landmarks in heads by registration of a template; two seconds a head.

    Example: scanside-build landmarks ../shared/data/heads --out trt_build/landmarks/truth.json
    """
    from trt_build.landmarks.truth import run

    run(folder, out)


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
    allow_unsigned: AllowUnsigned = False,  # noqa: FBT002
) -> None:
    """Scan the test subjects in random poses, and compare what is prescribed of the scouts with the truth.

    Example: scanside-build positions --data ../shared/data/heads
    """
    from trt_build.landmarks.positions import Options, run

    run(Options(data, out, model, scouts, solved, localizers, contrasts, bad, workers, allow_unsigned))

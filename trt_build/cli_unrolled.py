"""Commands of the reconstruction network: train, report, trust."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from trt_build.options import DATA, AllowUnsigned

__all__ = ["report", "train", "trust"]


class Supervision(str, Enum):
    """What a network learns from."""

    supervised = "supervised"
    ssdu = "ssdu"
    noise2noise = "noise2noise"


def report(  # noqa: PLR0913, PLR0917 - a command line has many options
    out: Annotated[Path, typer.Option(help="Folder for report.md, report.json, rows.csv and panels/.")],
    data: Annotated[Path, typer.Option(help="Folder with heads/ and mrd/; what is not there is left out.")] = DATA,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model; absent: the shipped one.")] = None,
    backend: Annotated[str, typer.Option(help="What runs it.")] = "auto",
    network: Annotated[Path | None, typer.Option(help="Checkpoint of `train`, in place of a model.")] = None,
    unet: Annotated[Path | None, typer.Option(help="Checkpoint of the peer U-Net; absent: not trained.")] = None,
    varnet: Annotated[Path | None, typer.Option(help="Checkpoint of the peer E2E-VarNet.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="For every method.")] = 2,
    earlier: Annotated[
        Path | None, typer.Option(help="Folder of an earlier report: its rows of methods without weights stand.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Few cases, to try it out.")] = False,  # noqa: FBT002
    allow_unsigned: AllowUnsigned = False,  # noqa: FBT002
) -> None:
    """Compare the network with its peers on the same samples: tables, pictures, error maps.

    Example: scanside-build report --out out/report --unet runs/unet/checkpoint.pt
    """
    from trt_build.report.command import Options
    from trt_build.report.command import report as write

    given = {"network": network, "unet": unet, "varnet": varnet}
    checkpoints = tuple((key, path) for key, path in given.items() if path is not None)
    write(Options(out, data, model, backend, checkpoints, threads, quick, allow_unsigned, earlier))


def trust(  # noqa: PLR0913, PLR0917 - a command line has many options
    out: Annotated[Path, typer.Option(help="Folder for table.md, roc.png and rows.csv.")],
    data: Annotated[Path, typer.Option(help="Folder with heads/.")] = DATA,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model; absent: the shipped one.")] = None,
    backend: Annotated[str, typer.Option(help="What runs it.")] = "auto",
    split: Annotated[str, typer.Option(help="Whose heads: validation or test.")] = "test",
    quick: Annotated[bool, typer.Option(help="One slice a head.")] = False,  # noqa: FBT002
    allow_unsigned: AllowUnsigned = False,  # noqa: FBT002
) -> None:
    """Plant structures in the network's images and say how well each cue of trust, and the verdict, tells them.

    Example: scanside-build trust --out out/trust
    """
    from trt_build.planted.command import Options
    from trt_build.planted.command import trust as measure

    measure(Options(out, data, model, backend, split, quick, allow_unsigned))


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
    """Train a network on simulated scans of volumes; the recipe `default` takes 45 to 95 minutes on 2 CPU cores.

    The one that ships was trained on with `finish` for another half hour. `ssdu` and `noise2noise` learn images without
    a noise-free truth, from a part of the lines or from a second noisy scan; the bound on the error still sees it.

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

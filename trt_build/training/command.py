"""What `scanside-build train` does: a recipe, a folder, a progress bar, and one line when it cannot go on."""

from dataclasses import dataclass
from pathlib import Path

import typer

from trt_build.data.errors import DataError
from trt_build.training.checkpoint import CheckpointError
from trt_build.training.recipe import RECIPES, Recipe, RecipeError, read_recipe
from trt_build.training.trainer import Progress, Training, train

__all__ = ["Options", "run"]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    folder: Path | None
    out: Path
    recipe: str = "default"  # name of one that comes with Scanside, or a file
    supervision: str = "supervised"
    minutes: float | None = None
    steps: int | None = None
    seed: int | None = None
    workers: int = 2
    device: str = "auto"
    resume: bool = False
    start: Path | None = None


def run(options: Options) -> None:
    """Train, and say where the weights are; what cannot be done is one line and exit code 1."""
    try:
        training = _training(options)
        typer.echo(
            f"{training.recipe.network}, {training.supervision}, at most {training.recipe.steps} steps on "
            f"{training.device}; {options.out}/curves.png shows how it goes"
        )
        _with_bar(training)
    except (CheckpointError, DataError, OSError, RecipeError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on with --resume --out {options.out}", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{options.out / 'checkpoint.pt'}")


def _training(options: Options) -> Training:
    import torch

    path = Path(options.recipe)
    path = path if path.suffix == ".toml" else RECIPES / f"{options.recipe}.toml"
    recipe: Recipe = read_recipe(path, minutes=options.minutes, steps=options.steps, seed=options.seed)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device != "cpu" and not torch.cuda.is_available():
        raise RecipeError(f"device {device!r}: torch finds no GPU here; wanted cpu")
    return Training(
        recipe, options.folder, options.out, options.supervision, options.resume, options.workers, device, options.start
    )


def _with_bar(training: Training) -> None:
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (BarColumn(), TextColumn("{task.percentage:.0f} %"), Remaining(), TextColumn("{task.description}"))
    with Bar(*columns) as bar:
        task = bar.add_task("making the validation scans", total=1.0)

        def tell(progress: Progress) -> None:
            shown = f"step {progress.step}, loss {progress.loss:.3f}"
            if progress.judged is not None:
                shown += f", validation {progress.judged.psnr_db:.2f} dB, SSIM {progress.judged.ssim:.4f}"
            bar.update(task, completed=progress.share, description=shown)

        train(training, tell)

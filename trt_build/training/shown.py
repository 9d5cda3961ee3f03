"""A training on the command line: a bar for each of its parts, and one line at its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import typer

from trt_build.data.errors import DataError
from trt_build.training.checkpoint import CheckpointError

__all__ = ["Tell", "shown"]

Tell: TypeAlias = Callable[[str, float], None]  # what is done now, and which share of it is


def shown(train: Callable[[Tell], Path], folder: Path) -> None:
    """Train, and say where the weights are; what cannot be done is one line and exit code 1."""
    from rich.progress import Progress

    try:
        with Progress() as bar:
            tasks: dict[str, Any] = {}

            def tell(what: str, share: float) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=1.0)
                bar.update(tasks[what], completed=share)

            saved = train(tell)
    except (CheckpointError, DataError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    typer.echo(f"{saved}; make a model of it with: scanside-build export {saved} --out NAME --data {folder}")

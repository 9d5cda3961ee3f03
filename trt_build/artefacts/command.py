"""What `scanside-build train-artefacts` does: simulate, train, and keep both; `export` makes a model of it."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
import typer

from trt_build.artefacts.collection import Collection, collect, load, save
from trt_build.artefacts.training import Plan, train
from trt_build.data.errors import DataError
from trt_build.data.volumes import Split
from trt_build.training.checkpoint import CheckpointError
from trt_build.training.step import one_thread
from trt_build.training.trainer import commit

__all__ = ["SEEDS", "TASK", "Options", "examples", "run"]

TASK: Final = "artefacts"
SEEDS: Final[dict[Split, int]] = {"train": 1, "validation": 2, "test": 3}
Tell = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    folder: Path
    out: Path
    scans: int = 2560
    steps: int = 7000
    seed: int = 0
    workers: int = 2


def run(options: Options) -> None:
    """Simulate, train, and say where the weights are; what cannot be done is one line and exit code 1."""
    from rich.progress import Progress

    try:
        with Progress() as bar:
            tasks: dict[str, Any] = {}

            def tell(what: str, share: float) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=1.0)
                bar.update(tasks[what], completed=share)

            saved = train_artefacts(options, tell)
    except (CheckpointError, DataError, OSError) as problem:
        typer.echo(f"scanside-build: {problem}", err=True)
        raise typer.Exit(1) from problem
    typer.echo(f"{saved}; make a model of it with: scanside-build export {saved} --out NAME --data {options.folder}")


def train_artefacts(options: Options, tell: Tell) -> Path:
    """Train on the subjects of `train`; gives the checkpoint. Raises DataError and OSError."""
    one_thread()
    options.out.mkdir(parents=True, exist_ok=True)
    known = examples(options.folder, options.out, "train", options.scans, options.workers, tell).visible()
    plan = Plan(steps=options.steps, seed=options.seed)
    network, minutes = train(known, plan, lambda step, _: tell("training", step / plan.steps))
    saved = options.out / "checkpoint.pt"
    part = saved.with_name(f"{saved.name}.part")
    state = {"task": TASK, "network": network.state_dict(), "plan": asdict(plan), "scans": options.scans}
    torch.save(state | {"examples": len(known), "minutes": minutes, "commit": commit()}, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return part.replace(saved)


def examples(folder: Path, out: Path, split: Split, scans: int, workers: int, tell: Tell) -> Collection:
    """Examples of a split, simulated once and kept in `out`: remove the file to have them made anew."""
    kept = out / f"{split}-{scans}.npz"
    if kept.exists():
        return load(kept)
    made = collect(folder, split, scans, SEEDS[split], workers, lambda share: tell(f"simulating {split} scans", share))
    save(made, kept)
    return made

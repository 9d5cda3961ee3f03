"""What `scanside-build train-artefacts` does: simulate, train, and keep both; `export` makes a model of it."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from trt_build.artefacts.collection import Collection, collect, load, save
from trt_build.artefacts.training import Plan, train
from trt_build.data.volumes import Split
from trt_build.training.checkpoint import write
from trt_build.training.shown import Tell, shown
from trt_build.training.step import one_thread
from trt_build.training.trainer import commit

__all__ = ["SEEDS", "TASK", "Options", "examples", "run"]

TASK: Final = "artefacts"
SEEDS: Final[dict[Split, int]] = {"train": 1, "validation": 2, "test": 3}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    folder: Path
    out: Path
    scans: int = 1920
    steps: int = 6000
    seed: int = 0
    workers: int = 2


def run(options: Options) -> None:
    """Simulate, train, and say where the weights are; what cannot be done is one line and exit code 1."""
    shown(partial(train_artefacts, options), options.folder)


def train_artefacts(options: Options, tell: Tell) -> Path:
    """Train on the subjects of `train`; gives the checkpoint. Raises DataError, OSError and CheckpointError."""
    one_thread()
    options.out.mkdir(parents=True, exist_ok=True)
    known = examples(options.folder, options.out, "train", options.scans, options.workers, tell).visible()
    plan = Plan(steps=options.steps, seed=options.seed)
    network, minutes = train(known, plan, lambda step, _: tell("training", step / plan.steps))
    saved = options.out / "checkpoint.pt"
    state = {"task": TASK, "network": network.state_dict(), "plan": asdict(plan), "scans": options.scans}
    write(saved, state | {"examples": len(known), "minutes": minutes, "commit": commit()})
    return saved


def examples(folder: Path, out: Path, split: Split, scans: int, workers: int, tell: Tell) -> Collection:
    """Examples of a split, simulated once and kept in `out`: remove the file to have them made anew."""
    kept = out / f"{split}-{scans}.npz"
    if kept.exists():
        return load(kept)
    made = collect(folder, split, scans, SEEDS[split], workers, lambda share: tell(f"simulating {split} scans", share))
    save(made, kept)
    return made

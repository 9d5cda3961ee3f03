"""What `scanside-build train-landmarks` does: simulate scouts, train both networks, keep them; `export` goes on."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np

from trt_build.data.volumes import Split
from trt_build.landmarks.examples import Arrays, chunk
from trt_build.landmarks.heads import subjects
from trt_build.landmarks.network import LandmarkNetwork
from trt_build.landmarks.scouts import Ranges
from trt_build.landmarks.training import Plan, train
from trt_build.training.checkpoint import write
from trt_build.training.shown import Tell, shown
from trt_build.training.step import one_thread
from trt_build.training.trainer import commit

__all__ = ["SEEDS", "TASK", "Options", "examples", "run"]

TASK: Final = "landmarks"
SEEDS: Final[dict[Split, int]] = {"train": 1, "validation": 2, "test": 3}
CHUNK: Final = 50  # scouts that a process makes at a time, and that one file keeps
STEPS: Final = {"far": 1.2, "near": 1.0}  # steps of either network, by those asked for


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    folder: Path
    out: Path
    scouts: int = 3000
    steps: int = 2500
    seed: int = 0
    workers: int = 2


def run(options: Options) -> None:
    """Simulate, train, and say where the weights are; what cannot be done is one line and exit code 1."""
    shown(partial(train_landmarks, options), options.folder)


def train_landmarks(options: Options, tell: Tell) -> Path:
    """Train on the subjects of `train`; gives the checkpoint. Raises DataError, OSError and CheckpointError."""
    one_thread()
    options.out.mkdir(parents=True, exist_ok=True)
    files = examples(options.folder, options.out, "train", options.scouts, options.workers, tell)
    state: dict[str, Any] = {"task": TASK, "scouts": options.scouts, "commit": commit(), "minutes": 0.0}
    for view, share in STEPS.items():
        plan = Plan(steps=round(share * options.steps), seed=options.seed)

        def told(step: int, _off: float, _network: LandmarkNetwork, view: str = view, steps: int = plan.steps) -> None:
            tell(f"training {view}", step / steps)

        network, minutes = train(together(files, view), view, plan, told)
        state |= {view: network.state_dict(), f"{view}_plan": asdict(plan), "minutes": state["minutes"] + minutes}
    saved = options.out / "checkpoint.pt"
    write(saved, state)
    return saved


def examples(folder: Path, out: Path, split: Split, scouts: int, workers: int, tell: Tell) -> list[Path]:
    """Files with the examples of a split, simulated once and kept in `out`: remove them to have them made anew."""
    numbers = range(-(-scouts // CHUNK))
    files = [out / f"{split}-{number:04d}.npz" for number in numbers]
    missing = [number for number in numbers if not files[number].exists()]
    if missing:
        subjects(folder, split)  # what is wrong with the folder is told here
        make = partial(_make, folder, out, split)
        with ProcessPoolExecutor(max(1, workers), get_context("forkserver"), one_thread) as pool:
            for done, _ in enumerate(pool.map(make, missing), 1):
                tell(f"simulating {split} scouts", done / len(missing))
    return files


def together(files: Sequence[Path], view: str) -> Arrays:
    """The examples of all files for one view, side by side."""
    parts: list[Arrays] = []
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            parts.append({name: stored[name] for name in stored.files if name.startswith(f"{view}_")})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _make(folder: Path, out: Path, split: Split, number: int) -> None:
    made = chunk(subjects(folder, split), SEEDS[split], number, CHUNK, Ranges())
    part = out / f".{split}-{number:04d}.part.npz"
    np.savez(part, **made)  # type: ignore[arg-type]
    part.replace(out / f"{split}-{number:04d}.npz")

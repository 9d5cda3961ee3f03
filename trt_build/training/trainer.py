"""Train a network: from a recipe and a folder of volumes to weights, curves and figures on validation subjects."""

import copy
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from trt_build.data.validation import validation_setups
from trt_build.data.volumes import Split, open_source
from trt_build.training import checkpoint, curves
from trt_build.training.batch import Batch, batch_of
from trt_build.training.networks import network_of
from trt_build.training.optimiser import Optimiser
from trt_build.training.recipe import Recipe
from trt_build.training.step import Gradients, one_thread
from trt_build.training.stream import Setups, pieces
from trt_build.training.validate import Judged, judge, linear_figures

__all__ = ["Progress", "Training", "commit", "train"]

LEARNED: Final[tuple[Split, ...]] = ("train", "validation")  # splits that a training looks at


@dataclass(frozen=True, slots=True)
class Progress:
    """What a progress bar shows after a step."""

    step: int
    share: float  # of the training that is done
    loss: float
    judged: Judged | None


@dataclass(frozen=True, slots=True)
class Training:
    """Where and how a recipe is trained."""

    recipe: Recipe
    folder: Path | None  # of NIfTI volumes; None: phantoms alone
    out: Path
    supervision: str = "supervised"
    resume: bool = False
    workers: int = 2
    device: str = "cpu"
    start: Path | None = None  # checkpoint whose weights are the first ones


class _State:
    """Everything that a checkpoint holds."""

    def __init__(self, training: Training) -> None:
        recipe = training.recipe
        torch.manual_seed(recipe.seed)
        self.device = torch.device(training.device)
        self.network = _fast(network_of(recipe).to(self.device))
        self.earlier = 0.0
        if training.start is not None:
            begun = checkpoint.weights(training.start)
            checkpoint.begin(self.network, begun, recipe, training.start)
            self.earlier = begun["minutes"] + begun.get("earlier", 0.0)
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False).eval()
        self.optimiser = Optimiser(self.network, recipe.decay)
        self.step, self.minutes, self.commit = 0, 0.0, commit()

    def dump(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "earlier": self.earlier,
            "commit": self.commit,
            "device": self.device.type,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.minutes, self.earlier = state["step"], state["minutes"], state.get("earlier", 0.0)


def train(training: Training, tell: Callable[[Progress], None] = lambda _: None) -> nn.Module:
    """Train to the end and return the averaged network; `out` holds checkpoint.pt, curves.csv and .png, figures.json.

    The same recipe, folder and device make the same network, resumed or not, unless `minutes` cut it short. Raises
    DataError, RecipeError and CheckpointError.
    """
    one_thread()
    recipe, out = training.recipe, training.out
    out.mkdir(parents=True, exist_ok=True)
    state = _State(training)
    saved = out / "checkpoint.pt"
    if training.resume:
        state.restore(checkpoint.load(saved, recipe, training.supervision))
    else:
        (out / "curves.csv").unlink(missing_ok=True)
    watched = _watched(training)
    linear = linear_figures(watched)
    gradients = Gradients(state.network, recipe, state.device, training.supervision)
    began = time.monotonic() - 60 * state.minutes
    loss, last = math.nan, None
    for given in _stream(training, state.step):
        state.minutes = (time.monotonic() - began) / 60
        share = _share(recipe, state)
        if share >= 1:
            break
        now = gradients.step(given)
        _update(state, recipe, share)
        loss = now if math.isnan(loss) else 0.98 * loss + 0.02 * now
        state.step += 1
        ended = state.step == recipe.steps
        if state.step % _every(recipe) == 0 or ended:
            last = judge(state.average, watched, half=recipe.half)
            _record(out, state, loss, last, linear)
            checkpoint.save(saved, recipe, training.supervision, state.dump())
        tell(Progress(state.step, share, loss, last))
    _finish(training, state, watched, linear, loss)
    return state.average


def _watched(training: Training) -> list[Batch]:
    """Make the validation scans, once every volume was read: a bad one is told now, not by a worker in the middle."""
    if training.folder is not None:
        for split in LEARNED:
            open_source(training.folder, split, training.recipe.seed).read_all()
    return list(validation_batches(training))


def _fast(network: nn.Module) -> nn.Module:
    """Channels last, which convolutions like better."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def commit() -> str:
    """Which Scanside trains here."""
    try:
        asked = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _every(recipe: Recipe) -> int:
    """Steps between two checkpoints: whole blocks, so that a resumed training sees the setups it would have seen."""
    block = recipe.steps_per_block()
    return max(1, round(recipe.validate_every / block)) * block


def _share(recipe: Recipe, state: _State) -> float:
    by_time = state.minutes / recipe.minutes if recipe.minutes else 0.0
    return max(state.step / recipe.steps, by_time)


def _update(state: _State, recipe: Recipe, share: float) -> None:
    warm = min(1.0, (state.step + 1) / max(1, recipe.warm_up))
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimiser.step(recipe.rate * warm * 0.5 * (1 + math.cos(math.pi * share)))
    decay = min(recipe.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.average.parameters()), list(state.network.parameters()), 1 - decay)


def _stream(training: Training, step: int) -> Iterator[tuple[Batch, ...]]:
    recipe = training.recipe
    ranges = replace(recipe.setups(), supervision=training.supervision)  # type: ignore[arg-type]
    first = recipe.setups_of(step)
    left = recipe.setups_of(recipe.steps + recipe.steps_per_block() - 1) - first
    setups = Setups(training.folder, ranges, recipe.seed, first, left)
    return pieces(setups, recipe.setups_per_step, recipe.frames_per_setup, recipe.uses, training.workers)


def validation_batches(training: Training, seed: int = 2026, accelerations: Sequence[int] = (4, 8)) -> Iterator[Batch]:
    """Whole slices of the validation subjects, fully sampled images as targets whatever the supervision."""
    recipe = training.recipe
    source = None if training.folder is None else open_source(training.folder, "validation", recipe.seed)
    ranges = replace(recipe.setups(), sharpened=0.0)
    for setup in validation_setups(source, ranges, accelerations, seed):
        yield batch_of(setup).to(torch.device(training.device))


def _record(out: Path, state: _State, loss: float, judged: Judged, linear: tuple[float, float]) -> None:
    row = {"step": state.step, "minutes": round(state.minutes, 2), "loss": loss, **asdict(judged)}
    curves.append_row(out / "curves.csv", row | {"linear_psnr_db": linear[0], "linear_ssim": linear[1]})
    curves.draw(out / "curves.csv", out / "curves.png")


def _finish(
    training: Training, state: _State, watched: Sequence[Batch], linear: tuple[float, float], loss: float
) -> None:
    judged = judge(state.average, watched)
    _record(training.out, state, loss, judged, linear)
    checkpoint.save(training.out / "checkpoint.pt", training.recipe, training.supervision, state.dump())
    figures = {"steps": state.step, "minutes": state.minutes, "linear": linear, "validation": asdict(judged)}
    (training.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")

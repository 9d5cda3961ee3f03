"""Train the network on collected examples, and make its probabilities hold on those of other subjects."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.artefacts.names import ARTEFACTS
from trt_build.artefacts.collection import Collection
from trt_build.artefacts.examples import planes
from trt_build.artefacts.network import ArtefactNetwork
from trt_build.training.optimiser import Optimiser

__all__ = ["Plan", "answers", "calibrate", "train"]

IMAGINARY, ACROSS = 3, 3  # planes of the image and of the spectrum that turn over with the phase
PRIOR = 1e-3  # weight of the squares of both numbers: 0 where nothing is known

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; the same plan on the same examples makes the same network."""

    steps: int = 5000
    batch: int = 16
    rate: float = 3e-3
    warm_up: int = 100
    decay: float = 0.02
    degree: float = 0.3  # weight of the severities in the loss
    motion: float = 3.0  # weight of motion, where any other artefact has 1
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """Examples of one shape, as the network is shown them."""

    image: Tensor  # (example, IMAGE, y, x) half precision
    spectrum: Tensor  # (example, SPECTRUM, y/2, x/2) half precision
    present: Tensor  # (example, artefact)
    degree: Tensor  # (example, artefact) logarithm of the severity, NaN where it is not known or 0


def train(
    collection: Collection, plan: Plan, tell: Callable[[int, float], None] = lambda _step, _loss: None
) -> tuple[ArtefactNetwork, float]:
    """Train to the end; gives the network and the minutes it took. `tell` hears of the step and the mean loss."""
    torch.manual_seed(plan.seed)
    network = ArtefactNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    optimiser = Optimiser(network, plan.decay)
    groups = _shown(collection)
    began, loss = time.monotonic(), math.nan
    for step, (group, rows) in enumerate(_batches(groups, plan)):
        image, spectrum = _mirrored(group, rows)
        with torch.autocast("cpu", torch.bfloat16):
            score, degree, _ = network(image.contiguous(memory_format=torch.channels_last), spectrum)
        now = _loss(score.float(), degree.float(), group.present[rows], group.degree[rows], plan)
        network.zero_grad(set_to_none=True)
        now.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        warm = min(1.0, (step + 1) / plan.warm_up)
        optimiser.step(plan.rate * warm * 0.5 * (1 + math.cos(math.pi * step / plan.steps)))
        loss = now.item() if math.isnan(loss) else 0.98 * loss + 0.02 * now.item()
        tell(step + 1, loss)
    return network.eval(), (time.monotonic() - began) / 60


def _loss(score: Tensor, degree: Tensor, present: Tensor, wanted: Tensor, plan: Plan) -> Tensor:
    """Cross entropy of what is present, and distance of logarithms of known severities."""
    weight = torch.tensor([plan.motion if name == "motion" else 1.0 for name in ARTEFACTS])
    missing = functional.binary_cross_entropy_with_logits(score, present, weight / weight.mean())
    known = ~wanted.isnan()
    if not known.any():
        return missing
    return missing + plan.degree * functional.smooth_l1_loss(degree[known], wanted[known])


def _shown(collection: Collection) -> list[_Shown]:
    groups = []
    for rows in collection.shapes.values():
        shown = [planes(pixels) for pixels in rows["pixels"]]
        image, spectrum = (
            torch.from_numpy(np.concatenate([each[name].astype(np.float16) for each in shown]))
            for name in ("image", "spectrum")
        )
        severity = rows["severity"].astype(np.float32)
        with np.errstate(divide="ignore"):
            degree = np.where(severity > 0, np.log(severity), np.nan).astype(np.float32)
        present = torch.from_numpy(rows["present"].astype(np.float32))
        groups.append(_Shown(image, spectrum, present, torch.from_numpy(degree)))
    return groups


def _batches(groups: list[_Shown], plan: Plan) -> Iterator[tuple[_Shown, Tensor]]:
    """Rows of one group at a time, every example as often as any other."""
    chance = torch.Generator().manual_seed(plan.seed)
    step = 0
    while True:
        some = [
            (group, rows)
            for group in groups
            for rows in torch.chunk(
                torch.randperm(len(group.image), generator=chance), -(-len(group.image) // plan.batch)
            )
        ]
        for number in torch.randperm(len(some), generator=chance).tolist():
            if step == plan.steps:
                return
            step += 1
            yield some[number]


def _mirrored(group: _Shown, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Examples mirrored in one of four ways, k-space with them, and half of them with the opposite phase."""
    image, spectrum = group.image[rows].float(), group.spectrum[rows].float()
    drawn = int(torch.randint(8, (1,)).item())
    axes = [axis for bit, axis in ((1, 2), (2, 3)) if drawn & bit]
    image, spectrum = image.flip(axes), spectrum.flip(axes)
    if drawn & 4:
        image[:, IMAGINARY] *= -1
        spectrum = spectrum.flip((2, 3))
        spectrum[:, ACROSS] *= -1
    return image, spectrum


def answers(network: ArtefactNetwork, collection: Collection) -> tuple[Floats, Floats]:
    """Scores and logarithms of severities (example, artefact) of a whole collection, in its order."""
    scores, degrees = [], []
    with torch.no_grad():
        for group in _shown(collection):
            for rows in torch.chunk(torch.arange(len(group.image)), -(-len(group.image) // 32)):
                score, degree, _ = network(group.image[rows].float(), group.spectrum[rows].float())
                scores.append(score.numpy())
                degrees.append(degree.numpy())
    return np.concatenate(scores), np.concatenate(degrees)


def calibrate(network: ArtefactNetwork, collection: Collection) -> None:
    """Stretch and shift each score so that its probability holds on a collection nobody trained on; in place.

    Platt's scaling with his targets, which a few examples do not drive to infinity, and PRIOR for an artefact that none
    has; one pair of numbers an artefact, put into the last layer's weights.
    """
    scores, _ = answers(network, collection)
    has = collection.together("present")
    yes, no = has.sum(0), (~has).sum(0)
    wanted = torch.from_numpy(np.where(has, (yes + 1) / (yes + 2), 1 / (no + 2)).astype(np.float32))
    given = torch.from_numpy(scores)
    stretch = torch.zeros(given.shape[1], requires_grad=True)
    shift = torch.zeros(given.shape[1], requires_grad=True)
    fit = torch.optim.LBFGS([stretch, shift], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        fit.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(given * stretch.exp() + shift, wanted)
        loss = loss + PRIOR * (stretch.square() + shift.square()).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    fit.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        network.score.weight.mul_(stretch.exp()[:, None])
        network.score.bias.mul_(stretch.exp()).add_(shift)

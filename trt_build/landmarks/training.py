"""Train either network on collected examples."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trt_build.landmarks.examples import LEVELS, Arrays
from trt_build.landmarks.heads import NAMES
from trt_build.landmarks.network import GRIDS, LandmarkNetwork

__all__ = ["Plan", "answers", "mirrored", "train"]

MIRRORED = tuple(
    NAMES.index(name.replace("left", "#").replace("right", "left").replace("#", "right")) for name in NAMES
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast; the same plan on the same examples makes the same network."""

    steps: int = 1500
    batch: int = 12
    rate: float = 4e-3
    warm_up: int = 60
    decay: float = 0.02
    width: float = 1.2  # of the heat maps that are wanted, voxels
    seed: int = 0


def train(
    known: Arrays,
    view: str,
    plan: Plan,
    tell: Callable[[int, float, LandmarkNetwork], None] = lambda _step, _off, _network: None,
) -> tuple[LandmarkNetwork, float]:
    """Train for one view, far or near, to the end; gives the network and the minutes it took.

    `tell` hears of the step, of how far landmarks lay off lately (mm), and gets the network as it is.
    """
    torch.manual_seed(plan.seed)
    network = LandmarkNetwork(view).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    network.train()
    rest = [p for p in network.parameters() if p.ndim < 2]
    kernels = [p for p in network.parameters() if p.ndim >= 2]
    optimiser = torch.optim.AdamW(
        [{"params": kernels, "weight_decay": plan.decay}, {"params": rest, "weight_decay": 0.0}], 0.0, (0.9, 0.98)
    )
    began, late = time.monotonic(), math.nan
    order = torch.Generator().manual_seed(plan.seed)
    count = len(known[f"{view}_bad"])
    for step in range(plan.steps):
        rows = torch.randint(count, (plan.batch,), generator=order).numpy()
        seen, places, present, bad = mirrored(known, view, rows, order)
        with torch.autocast("cpu", torch.bfloat16):
            made = network(seen.contiguous(memory_format=torch.channels_last_3d))
        loss, off = _loss([part.float() for part in made], places, present, bad, view, plan.width)
        network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rate = plan.rate * min(1.0, (step + 1) / plan.warm_up) * 0.5 * (1 + math.cos(math.pi * step / plan.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        late = off if math.isnan(late) else 0.97 * late + 0.03 * off
        tell(step + 1, late, network)
    return network.eval(), (time.monotonic() - began) / 60


def mirrored(
    known: Arrays, view: str, rows: NDArray[np.integer], chance: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views and truth of some examples, each mirrored left to right or not."""
    parts = [torch.from_numpy(known[f"{view}_{name}"][rows]) for name in ("seen", "places", "present", "bad")]
    seen, places, present, bad = parts
    seen = seen.float() / torch.tensor((LEVELS, 255.0))[:, None, None, None]
    turned = torch.rand(len(rows), generator=chance) < 0.5
    seen = torch.where(turned[:, None, None, None, None], seen.flip(4), seen)
    other = places[:, MIRRORED] * torch.tensor((-1.0, 1.0, 1.0))
    places = torch.where(turned[:, None, None], other, places)
    present = torch.where(turned[:, None], present[:, MIRRORED], present)
    return seen, places, present.float(), bad


def _loss(
    made: list[Tensor], places: Tensor, present: Tensor, bad: Tensor, view: str, width: float
) -> tuple[Tensor, float]:
    """What is wrong with an answer, and how far present landmarks lie off (mm, mean)."""
    found, spread, here, plausible, maps = made
    shape, spacing_mm = GRIDS[view]
    there = present > 0
    losses = functional.binary_cross_entropy_with_logits(plausible[:, 0], (bad == 0).float())
    # Where nothing is known of a landmark of a head (no chiasm in its label map) nothing is asked.
    asked = (bad > 0)[:, None] | places.isfinite().all(2)
    losses = losses + functional.binary_cross_entropy_with_logits(here[asked], present[asked])
    if not there.any():
        return losses, math.nan
    wanted = places[there]
    off = (found[there] - wanted).norm(dim=1)
    losses = losses + (off / (off.detach() + 2.0)).mean() * 2 + 0.05 * off.mean()
    losses = losses + 0.3 * (spread[there] + (off.detach() + 0.1) * (-spread[there]).exp()).mean()
    logits = maps[there].log_softmax(1).reshape(-1, *shape)
    bells = [_bell(wanted[:, 2 - axis], size, spacing_mm, width) for axis, size in enumerate(shape)]
    cross = torch.einsum("nzyx,nz,ny,nx->n", logits, *bells)
    return losses - 0.4 * cross.mean(), float(off.mean().detach())


def _bell(places: Tensor, size: int, spacing_mm: float, width: float) -> Tensor:
    """Share (n, size) of each voxel along one axis in a bell about places (n,) in mm."""
    at = (torch.arange(size) - (size - 1) / 2) - (places / spacing_mm)[:, None]
    return (-0.5 * (at / width).square()).softmax(1)


def answers(network: LandmarkNetwork, known: Arrays, view: str) -> dict[str, NDArray[np.float32]]:
    """What a network says of all examples, in their order."""
    parts = []
    with torch.no_grad():
        for rows in np.array_split(np.arange(len(known[f"{view}_bad"])), -(-len(known[f"{view}_bad"]) // 16)):
            seen = torch.from_numpy(known[f"{view}_seen"][rows]).float()
            made = network(seen / torch.tensor((LEVELS, 255.0))[:, None, None, None])
            parts.append([part.numpy() for part in made[:4]])
    return {
        name: np.concatenate(values)
        for name, values in zip(("places", "spread", "present", "plausible"), zip(*parts, strict=True), strict=True)
    }

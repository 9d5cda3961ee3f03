"""Setups for training, made by worker processes; the same ones in the same order whatever their number."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from trt_build.data.recipe import Recipe as DataRecipe
from trt_build.data.setup import make_setup
from trt_build.data.volumes import open_source
from trt_build.training.batch import Batch, batch_of

__all__ = ["BLOCK", "Setups", "pieces"]

BLOCK: Final = 16  # setups whose frames are shuffled among each other


@dataclass(frozen=True, slots=True)
class Setups(Dataset[Batch]):
    """Setup `first`, `first` + 1, … of a folder's training subjects; without a folder, phantoms alone.

    Each is made by one thread: the last digits of a product depend on how many share it.
    """

    folder: Path | None
    recipe: DataRecipe
    seed: int
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        if index >= self.count:
            raise IndexError(index)
        source = None if self.folder is None else open_source(self.folder, "train", self.seed)
        with threadpool_limits(1):
            return batch_of(make_setup(source, self.recipe, self.seed, self.first + index))


def _modest(_: int) -> None:
    """Let a worker stand back behind the training, with one thread."""
    torch.set_num_threads(1)
    os.nice(5)


def pieces(setups: Setups, at_once: int, frames: int, uses: int, workers: int) -> Iterator[tuple[Batch, ...]]:
    """What one step learns from: `at_once` pieces of `frames` frames, each of another setup.

    Every frame is used `uses` times, each time with another phase. BLOCK setups are held at a time.
    """
    loader = DataLoader(
        setups,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_modest,
        multiprocessing_context="forkserver" if workers else None,
        prefetch_factor=max(2, BLOCK // workers) if workers else None,
    )
    block: list[Batch] = []
    for number, batch in enumerate(loader, setups.first + 1):
        block.append(batch)
        if number % BLOCK == 0:
            chance = torch.Generator().manual_seed(setups.seed + number)
            for _ in range(uses):
                yield from _shuffled(block, at_once, frames, chance)
            block = []


def _shuffled(block: list[Batch], at_once: int, frames: int, chance: torch.Generator) -> Iterator[tuple[Batch, ...]]:
    for start in range(0, len(block[0].normal), frames):
        for group in _groups(block, at_once, chance):
            angles = (2 * math.pi * torch.rand(at_once, generator=chance)).tolist()
            some = zip(group, angles, strict=False)
            yield tuple(block[k].frames(start, start + frames).turned(angle) for k, angle in some)


def _groups(block: list[Batch], at_once: int, chance: torch.Generator) -> list[list[int]]:
    """Setups that share a step: of about one size, so that no thread waits for another's; in random order."""
    order = torch.randperm(len(block), generator=chance).tolist()
    order.sort(key=lambda k: block[k].normal.numel())
    groups = [order[first : first + at_once] for first in range(0, len(order), at_once)]
    return [groups[k] for k in torch.randperm(len(groups), generator=chance).tolist()]

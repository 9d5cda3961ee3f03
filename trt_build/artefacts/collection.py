"""Many examples of one split, made once and kept in a file, by shape of the image."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.artefacts.names import ARTEFACTS
from trt_build.artefacts.examples import VISIBLE, Example, examples_of
from trt_build.data.errors import DataError
from trt_build.data.volumes import Split, open_source

__all__ = ["Collection", "collect", "load", "save"]

Arrays = Mapping[str, NDArray[Any]]
FACTS: Final = ("present", "severity", "motion", "subject", "snr")
CHUNK: Final = 8  # scans that a process makes at a time


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Examples of equal shape side by side."""

    shapes: Mapping[tuple[int, int], Arrays]  # (lines, columns) -> pixels (example, 2, y, x) and FACTS (example, …)

    def __len__(self) -> int:
        return sum(len(arrays["pixels"]) for arrays in self.shapes.values())

    def together(self, name: str) -> NDArray[Any]:
        """One of FACTS of all examples, shape after shape."""
        return np.concatenate([arrays[name] for arrays in self.shapes.values()])

    def visible(self) -> "Collection":
        """Without images that motion of 2 mm or 2 degrees changed by less than VISIBLE: nobody can learn from them."""
        moved = ARTEFACTS.index("motion")
        kept = {
            shape: ~(rows["present"][:, moved] & (rows["severity"][:, moved] < VISIBLE))
            for shape, rows in self.shapes.items()
        }
        return Collection(
            {shape: {name: row[kept[shape]] for name, row in rows.items()} for shape, rows in self.shapes.items()}
        )


def collect(
    folder: Path, split: Split, scans: int, seed: int, workers: int = 2, tell: Callable[[float], None] = lambda _: None
) -> Collection:
    """Simulate `scans` scans of the subjects of a split; the same ones whatever the number of workers.

    Raises DataError for a folder without volumes, and where no scan shows a head.
    """
    open_source(folder, split).head(0)  # what is wrong with the folder is told here
    by_shape: dict[tuple[int, int], list[Example]] = defaultdict(list)
    for number, some in enumerate(_made(folder, split, scans, seed, workers), 1):
        for example in some:
            by_shape[example.pixels.shape[1:]].append(example)
        tell(min(1.0, number * CHUNK / scans))
    if not by_shape:
        raise DataError(f"{folder}: {scans} scans of its {split} subjects show no head; look at the volumes")
    return Collection({shape: _stacked(examples) for shape, examples in sorted(by_shape.items())})


def _made(folder: Path, split: Split, scans: int, seed: int, workers: int) -> Iterator[list[Example]]:
    firsts = range(0, scans, CHUNK)
    some = partial(_some, folder, split, scans, seed)
    if workers == 0:
        yield from map(some, firsts)
        return
    with ProcessPoolExecutor(workers, get_context("forkserver"), _modest) as pool:
        yield from pool.map(some, firsts)


def _some(folder: Path, split: Split, scans: int, seed: int, first: int) -> list[Example]:
    source = open_source(folder, split)
    indices = range(first, min(first + CHUNK, scans))
    return [example for index in indices for example in examples_of(source, seed, index)]


def _modest() -> None:
    """One thread a process."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _stacked(examples: Iterable[Example]) -> Arrays:
    rows = list(examples)
    return {name: np.array([getattr(row, name) for row in rows]) for name in ("pixels", *FACTS)}


def save(collection: Collection, path: Path) -> None:
    """Keep a collection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {f"{y}x{x}/{name}": array for (y, x), rows in collection.shapes.items() for name, array in rows.items()}
    np.savez(path, **named)  # type: ignore[arg-type]


def load(path: Path) -> Collection:
    """Read what `save` kept."""
    shapes: dict[tuple[int, int], dict[str, NDArray[Any]]] = defaultdict(dict)
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            size, name = key.split("/")
            y, x = size.split("x")
            shapes[int(y), int(x)][name] = stored[key]
    return Collection(dict(shapes))

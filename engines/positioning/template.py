"""What a model knows of a body besides its weights: names, mean places, how far its figures are to be believed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engines.errors import ModelError
from engines.model import Model
from engines.positioning.mean_head import MeanHead, mean_head
from engines.positioning.stripped import Stripper, stripper_of

__all__ = ["BRAIN", "FILE", "MEAN", "Template", "template_of"]

FILE: Final = "template.json"
MEAN: Final = "mean_head.npz"
BRAIN: Final = "brain.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A mean body, LPS mm of its own."""

    anatomy: str
    names: tuple[str, ...]  # of the networks' outputs; those of `ends` are no landmarks of the anatomy
    places_mm: NDArray[np.float64]  # (name, 3)
    modes_mm: NDArray[np.float64]  # (mode, name, 3) along which bodies differ, one standard deviation long
    rest_mm: float  # by which they differ beside that
    ends: Mapping[str, tuple[int, ...]]  # surface -> where it ends: left, right, front, back, top, bottom
    hulls: Mapping[str, NDArray[np.float64]]  # surface -> (n, 3) points on its outside
    factors: NDArray[np.float64]  # (name,) radius of the 90 % region by what the network says
    present: float  # probability from which on a landmark is there
    plausible: float  # probability from which on it is such a body
    lowest_mm: float  # S below which a body goes on beyond what a scout has to show
    mean: MeanHead
    laid_mm: NDArray[np.float64]  # (name, 3) in the mean head
    trust: NDArray[np.float64]  # (name,) share that registration has in a place, the networks have the rest
    errors_mm2: NDArray[np.float64]  # (3 name, 3 name) covariance of what both together err, in the mean head
    doubts: Mapping[str, tuple[float, float]]  # kind of scout -> power of how far both ways lie apart, factor on errors
    planes: Mapping[str, Mapping[str, tuple[float, float]]]  # kind of scout -> plan -> factors on its region, mm, deg
    plane: tuple[int, ...]  # outputs that lie in the plane of symmetry
    line: tuple[int, int]  # outputs whose line is one of the directions of a pose
    stripper: Stripper | None  # what finds the brain alone; None until it has learned
    taught_mm: NDArray[np.float64]  # (name, 3) by which the places lay off that the networks have learned

    def landmarks(self) -> tuple[int, ...]:
        """Outputs that are landmarks of the anatomy."""
        ends = {number for numbers in self.ends.values() for number in numbers}
        return tuple(number for number in range(len(self.names)) if number not in ends)

    def mirrored(self) -> list[int]:
        """For every output the one that is its mirror image: left is right."""
        other = [name.replace("left", "#").replace("right", "left").replace("#", "right") for name in self.names]
        return [self.names.index(name) for name in other]


def template_of(model: Model) -> Template:
    """Read the template of a model whose task is landmarks; raises ModelError."""
    for file in (FILE, MEAN, BRAIN):
        if file not in model.card.files:
            raise ModelError(
                f"{model.folder}: its card names no {file}, which a model for landmarks has; export it again"
            )
    try:
        mean = mean_head(model.read(MEAN))
        return _template(model.read(FILE), mean, stripper_of(model.read(BRAIN), mean))
    except (KeyError, TypeError, ValueError, OSError, BadZipFile) as error:
        raise ModelError(f"{model.folder}: no template can be read ({error!r}); export the model again") from error


@lru_cache(maxsize=4)
def _template(content: bytes, mean: MeanHead, stripper: Stripper) -> Template:
    read = json.loads(content)
    names = tuple(read["places"])
    return Template(
        str(read["anatomy"]),
        names,
        np.array([read["places"][name] for name in names], np.float64).reshape(-1, 3),
        np.array(read["modes"], np.float64).reshape(-1, len(names), 3),
        float(read["rest_mm"]),
        {surface: tuple(names.index(name) for name in ends) for surface, ends in read["ends"].items()},
        {surface: np.array(points, np.float64).reshape(-1, 3) for surface, points in read["hulls"].items()},
        np.array([read["factors"][name] for name in names], np.float64),
        float(read["present"]),
        float(read["plausible"]),
        float(read["lowest_mm"]),
        mean,
        np.array([read["laid"][name] for name in names], np.float64).reshape(-1, 3),
        np.array([read["trust"][name] for name in names], np.float64),
        np.array(read["errors_mm2"], np.float64).reshape(3 * len(names), 3 * len(names)),
        {kind: (float(power), float(factor)) for kind, (power, factor) in read.get("doubts", {}).items()},
        {
            kind: {plan: (float(mm), float(deg)) for plan, (mm, deg) in plans.items()}
            for kind, plans in read.get("planes", {}).items()
        },
        tuple(names.index(name) for name in read["plane"]),
        (names.index(read["line"][0]), names.index(read["line"][1])),
        stripper,
        np.array([read.get("taught", {}).get(name, (0.0,) * 3) for name in names], np.float64).reshape(-1, 3),
    )

"""What the networks learn from: scouts as they are shown them, far and near, with the truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.grid import FAR_MM, FAR_SHAPE, NEAR_MIDDLE_MM, NEAR_MM, NEAR_SHAPE, Sheet, far, near
from engines.positioning.pose import Pose, fitted
from trt_build.landmarks.heads import SLACK_MM, Subject, template_mm
from trt_build.landmarks.scouts import BAD, Made, Ranges, simulate, turned

__all__ = ["LEVELS", "Arrays", "chunk", "example_of"]

Arrays = dict[str, NDArray[Any]]
NEARER: Final = 3  # views of the middle of each head
LEVELS: Final = 80.0  # of a byte that brightness 1 takes
BELIEVED_DEG, BELIEVED_MM, BELIEVED_SIZE = 5.0, 4.0, 0.03  # by which the first pose is off, standard deviations
ASTRAY: Final = 0.06  # share of near views about another place


def chunk(heads: Sequence[Subject], seed: int, number: int, scouts: int, ranges: Ranges) -> Arrays:
    """Examples of `scouts` scouts: FAR and NEAR views, bytes, and the truth of each; the same whenever asked."""
    rows = [example_of(heads, seed, number * scouts + n, ranges) for n in range(scouts)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def example_of(heads: Sequence[Subject], seed: int, index: int, ranges: Ranges) -> Arrays:
    """Views of scout `index` of a sequence: far_* one, near_* NEARER."""
    chance = np.random.default_rng([seed, index])
    made = simulate(heads[int(chance.integers(len(heads)))], chance, ranges)
    sheet = Sheet(made.scout)
    bad = BAD.index(made.bad) + 1 if made.bad else 0
    seen = _bytes(far(sheet))
    rows: Arrays = {
        "far_seen": seen,
        "far_places": ((made.places_mm - sheet.middle_mm)[None]).astype(np.float32),
        "far_present": _within(made.places_mm - sheet.middle_mm, FAR_SHAPE, FAR_MM, made.present)[None],
        "far_bad": np.array([bad], np.uint8),
    }
    views = [_near(made, sheet, chance) for _ in range(NEARER)]
    seen, places, present, astray = (np.stack(parts) for parts in zip(*views, strict=True))
    return rows | {
        "near_seen": seen,
        "near_places": places.astype(np.float32),
        "near_present": present,
        "near_bad": np.where(astray, 255, bad).astype(np.uint8),
    }


def _near(made: Made, sheet: Sheet, chance: np.random.Generator) -> tuple[NDArray[Any], ...]:
    pose, astray = _believed(made, sheet, chance)
    places = pose.to_template(made.places_mm) - NEAR_MIDDLE_MM
    present = _within(places, NEAR_SHAPE, NEAR_MM, made.present) & (not astray)
    return _bytes(near(sheet, pose))[0], places, present, np.array(astray)


def _believed(made: Made, sheet: Sheet, chance: np.random.Generator) -> tuple[Pose, bool]:
    """A pose like those that the first network finds, and whether it is far off."""
    known = np.isfinite(made.places_mm).all(1)
    if known.sum() >= 6:
        wide = np.where(known, 1.0, 1e6)
        true = fitted(template_mm(), np.nan_to_num(made.places_mm), wide, SLACK_MM)
    else:
        angles = np.deg2rad(chance.normal(0, 15, 3))
        true = Pose(turned(angles), float(chance.uniform(0.8, 1.2)), sheet.middle_mm + chance.normal(0, 20, 3))
    astray = bool(chance.random() < ASTRAY)
    more = 6.0 if astray else 2.0 if chance.random() < 0.1 else 1.0
    turn = turned(np.deg2rad(more * BELIEVED_DEG * chance.standard_normal(3)))
    scale = true.scale * float(np.exp(BELIEVED_SIZE * chance.standard_normal()))
    shift_mm = true.shift_mm + more * BELIEVED_MM * chance.standard_normal(3)
    if astray:
        shift_mm = shift_mm + np.array((0.0, 40.0, 0.0)) * chance.choice([-1, 1])
    return Pose(turn @ true.turn, scale, shift_mm), astray


def _within(
    places_mm: NDArray[np.float64], shape: tuple[int, int, int], spacing_mm: float, present: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which landmarks a grid about the origin holds."""
    reach_mm = spacing_mm * np.array(shape[::-1]) / 2
    return present & (np.abs(np.nan_to_num(places_mm, nan=1e6)) < reach_mm).all(1)


def _bytes(seen: NDArray[np.float32]) -> NDArray[np.uint8]:
    scale = np.array((LEVELS, 255.0), np.float32)[:, None, None, None]
    return np.clip(np.round(seen * scale), 0, 255).astype(np.uint8)


def chunks(folder: Path) -> list[Path]:
    """Files of examples in a folder."""
    return sorted(folder.glob("*.npz"))

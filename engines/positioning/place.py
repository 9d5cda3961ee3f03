"""A plan and landmarks to a stack of slices: directions, coverage, a field of view in which nothing wraps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.positioning.axes import Points, axis, unit
from protocols.anatomy import Anatomy, Plan
from protocols.stack import Stack

__all__ = ["ROUND_MM", "SURFACE_MM", "place", "spread"]

Surfaces: TypeAlias = Mapping[str, NDArray[np.float64]]  # name -> (n, 3) LPS mm
ROUND_MM = 1.0  # fields of view are rounded up to this
STEP_MM = 0.1  # by which a landmark is moved to see what the stack does
BALL90 = 2.5003  # standard deviations within which 90 % of a normal distribution in space lie
DRAWS = 4000
SURFACE_MM = 1.0  # standard deviation of where the middle between a surface's ends lies
ENOUGH = 1e-6  # of a slice: what rounding alone adds


def place(anatomy: Anatomy, plan: str, points: Points, surfaces: Surfaces) -> Stack:
    """The stack of a plan; raises axes.Implausible where landmarks span no directions.

    Slices reach `margin_mm` beyond what is to be covered, symmetrically about `through` where the plan has it, and the
    field of view reaches `air_mm` beyond the surface on every side. A field of view is as wide as twice the farthest
    point of the surface from the stack's middle, as what lies beyond half of it folds in.
    """
    wanted = anatomy.plans[plan]
    lies = _lies(anatomy, plan, points, surfaces)
    slices = _slices(wanted, lies)
    fov_mm = [ceil((end - begin + 2 * wanted.air_mm) / ROUND_MM - ENOUGH) * ROUND_MM for begin, end in lies.ends[:2]]
    centre, axes = lies.centre_mm, lies.axes
    return Stack(
        centre_mm=_vector(centre),
        read_dir=_vector(axes[0]),
        phase_dir=_vector(axes[1]),
        slice_dir=_vector(axes[2]),
        field_of_view_mm=(fov_mm[0], fov_mm[1]),
        thickness_mm=wanted.thickness_mm,
        gap_mm=wanted.gap_mm,
        slices=slices,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Lies:
    """Where stacks lie, one for each set of landmarks."""

    axes: NDArray[np.float64]  # (..., 3, 3) read, phase and slice direction, one below the other
    ends: NDArray[np.float64]  # (3, 2, ...) of what is contained along read and phase, of what is covered along slices
    middle: NDArray[np.float64]  # (...,) along slices

    @property
    def centre_mm(self) -> NDArray[np.float64]:
        """(..., 3) LPS."""
        along = np.stack((*self.ends[:2].mean(axis=1), self.middle), axis=-1)
        return np.asarray((along[..., None, :] @ self.axes)[..., 0, :])


def _lies(anatomy: Anatomy, plan: str, points: Points, surfaces: Surfaces) -> _Lies:
    wanted = anatomy.plans[plan]
    slice_dir = axis(wanted.slice, anatomy, points)
    along_read = axis(wanted.read, anatomy, points)
    along_slice = (slice_dir * along_read).sum(axis=-1, keepdims=True)
    read_dir = unit(along_read - slice_dir * along_slice, f"plan '{plan}', read")
    axes = np.stack((read_dir, np.cross(slice_dir, read_dir), slice_dir), axis=-2)
    around = surfaces[wanted.contain] @ axes[..., :2, :].swapaxes(-1, -2)  # (..., point, direction)
    covered = np.concatenate([_along(slice_dir, name, points, surfaces) for name in wanted.cover], axis=-1)
    reach = np.array((wanted.margin_mm, -wanted.margin_mm))
    ends = np.stack((*np.moveaxis(_ends(around, -2), -1, 0), _ends(covered, -1)))
    ends[2] -= reach.reshape(2, *[1] * (ends.ndim - 2))
    if wanted.through:
        middle = sum((points[name] * slice_dir).sum(axis=-1) for name in wanted.through) / len(wanted.through)
    else:
        middle = ends[2].mean(axis=0)
    return _Lies(axes, ends, np.asarray(middle))


def _along(slice_dir: NDArray[np.float64], name: str, points: Points, surfaces: Surfaces) -> NDArray[np.float64]:
    """Places (..., n) of a surface or a landmark along slices."""
    if name in surfaces:
        return np.asarray(slice_dir @ surfaces[name].T)
    return np.asarray((points[name] * slice_dir).sum(axis=-1, keepdims=True))


def _ends(values: NDArray[np.float64], over: int) -> NDArray[np.float64]:
    """Least and largest (2, ...)."""
    return np.stack((values.min(axis=over), values.max(axis=over)))


def _slices(wanted: Plan, lies: _Lies) -> int:
    step_mm = wanted.thickness_mm + wanted.gap_mm
    low, high = lies.ends[2].tolist()
    if wanted.through:
        middle = float(lies.middle)
        half = max(high - middle, middle - low) - wanted.thickness_mm / 2
        return 2 * max(0, ceil(half / step_mm - ENOUGH)) + 1
    return max(1, ceil((high - low + wanted.gap_mm) / step_mm - ENOUGH))


def spread(
    anatomy: Anatomy,
    plan: str,
    points: Points,
    surfaces: Surfaces,
    region90_mm: Mapping[str, float],
    covariance: NDArray[np.float64] | None = None,
) -> tuple[float, float] | None:
    """Half-widths of the stack's 90 % region, mm and degrees; None where that of a landmark is not known.

    Millimetres are of its middle along the slice direction, degrees of its turn. Within its slices a stack lies as the
    surface does that it contains, with air to spare, and no region is told of that. To first order, of errors with a
    covariance of all coordinates (3 n, 3 n) in the order of points, mm^2; without one landmarks err independently and
    alike in all directions. A stack whose middle is that of a surface errs by SURFACE_MM more.
    """
    names = anatomy.made_of(plan)
    if covariance is None:
        if not all(name in region90_mm for name in names):
            return None
        root = np.diag(np.repeat([region90_mm[name] / BALL90 for name in names], 3))
    else:
        rows = np.array([3 * list(points).index(name) + axis for name in names for axis in range(3)])
        sizes, directions = np.linalg.eigh(covariance[np.ix_(rows, rows)])
        root = (directions * np.sqrt(np.maximum(sizes, 0.0))).T
    lies = _lies(anatomy, plan, _beside(points, names), surfaces)
    axes, centres = lies.axes, lies.centre_mm
    turns = axes[0].T @ axes[1:]
    turned = (turns - turns.swapaxes(1, 2))[:, (2, 0, 1), (1, 2, 0)]
    # Of the middle along the slice direction, mm, and of the turn, rad, to one mm of each coordinate.
    response = np.column_stack(((centres[1:] - centres[0]) @ axes[0, 2], turned / 2)) / STEP_MM
    errors, beside = _draws(len(response))
    draws = errors @ root @ response
    if not anatomy.plans[plan].through and surfaces.keys() & set(anatomy.plans[plan].cover):
        draws[:, 0] += SURFACE_MM * beside
    mm = np.quantile(np.abs(draws[:, 0]), 0.9)
    rad = np.quantile(np.linalg.norm(draws[:, 1:], axis=1), 0.9)
    return float(mm), float(np.rad2deg(rad))


def _beside(points: Points, names: Sequence[str]) -> Points:
    """Points (1 + 3 name, 3) as they are, and with each coordinate of one of `names` a step farther."""
    steps = STEP_MM * np.eye(3 * len(names)).reshape(-1, len(names), 3)
    steps = np.concatenate((np.zeros((1, len(names), 3)), steps))
    return {**points, **{name: points[name] + steps[:, number] for number, name in enumerate(names)}}


@lru_cache(maxsize=16)
def _draws(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors (draw, count) and (draw,), the same at every call."""
    chance = np.random.default_rng(0)
    return chance.standard_normal((DRAWS, count)), chance.standard_normal(DRAWS)


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z

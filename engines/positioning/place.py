"""A plan and landmarks to a stack of slices: directions, coverage, a field of view in which nothing wraps."""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.positioning.axes import Points, axis, unit
from protocols.anatomy import Anatomy
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
    slice_dir = axis(wanted.slice, anatomy, points)
    along_read = axis(wanted.read, anatomy, points)
    read_dir = unit(along_read - slice_dir * (slice_dir @ along_read), f"plan '{plan}', read")
    axes = np.array((read_dir, np.cross(slice_dir, read_dir), slice_dir))
    covered = [surfaces[name] if name in surfaces else points[name][None] for name in wanted.cover]
    low, high = _ends(np.concatenate(covered) @ slice_dir)
    low, high = low - wanted.margin_mm, high + wanted.margin_mm
    step_mm = wanted.thickness_mm + wanted.gap_mm
    if wanted.through:
        middle = float(np.mean([points[name] @ slice_dir for name in wanted.through]))
        half = max(high - middle, middle - low) - wanted.thickness_mm / 2
        slices = 2 * max(0, ceil(half / step_mm - ENOUGH)) + 1
    else:
        middle = (low + high) / 2
        slices = max(1, ceil((high - low + wanted.gap_mm) / step_mm - ENOUGH))
    ends = [_ends(surfaces[wanted.contain] @ direction) for direction in axes[:2]]
    fov_mm = [ceil((end - begin + 2 * wanted.air_mm) / ROUND_MM - ENOUGH) * ROUND_MM for begin, end in ends]
    centre = axes.T @ np.array((*((begin + end) / 2 for begin, end in ends), middle))
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
    best = place(anatomy, plan, points, surfaces)
    response = []  # of the middle along the slice direction, mm, and turn, rad, to one mm of each coordinate
    for name in names:
        for along in np.eye(3):
            other = place(anatomy, plan, {**points, name: points[name] + STEP_MM * along}, surfaces)
            turn = best.axes().T @ other.axes()
            along_mm = np.subtract(other.centre_mm, best.centre_mm) @ best.slice_dir
            turn_rad = np.array((turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1])) / 2
            response.append(np.append(along_mm, turn_rad) / STEP_MM)
    chance = np.random.default_rng(0)
    draws = chance.standard_normal((DRAWS, len(response))) @ root @ np.array(response)
    if not anatomy.plans[plan].through and surfaces.keys() & set(anatomy.plans[plan].cover):
        draws[:, 0] += SURFACE_MM * chance.standard_normal(DRAWS)
    mm = np.quantile(np.abs(draws[:, 0]), 0.9)
    rad = np.quantile(np.linalg.norm(draws[:, 1:], axis=1), 0.9)
    return float(mm), float(np.rad2deg(rad))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    array = np.asarray(values)
    return float(array.min()), float(array.max())


def _vector(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z

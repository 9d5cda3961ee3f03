"""Directions of a body, made of its landmarks as an anatomy's file says."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.anatomy import Anatomy, Axis

__all__ = ["Implausible", "axis", "fitted_plane", "unit"]

Points: TypeAlias = Mapping[str, NDArray[np.float64]]  # name -> (3,) LPS mm
SHORTEST_MM = 1.0  # a direction between points that are nearer is noise
THINNEST_MM = 2.0  # of the second extent of points that span a plane: nearer to a line than this they span none


class Implausible(Exception):  # noqa: N818 - it is said of the landmarks
    """Landmarks that cannot be those of such a body."""


def axis(name: str, anatomy: Anatomy, points: Points) -> NDArray[np.float64]:
    """Unit vector (3,) of an axis, '-' in front turns it round; raises Implausible where landmarks span none."""
    sign = -1.0 if name.startswith("-") else 1.0
    rule = anatomy.axes[name.removeprefix("-")]
    direction = _direction(rule, anatomy, points)
    if rule.square_to is not None:
        other = axis(rule.square_to, anatomy, points)
        direction = direction - other * (other @ direction)
    return sign * unit(direction, f"axis '{name}'")


def unit(direction: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """A vector of length 1; raises Implausible where there is next to none."""
    length = float(np.linalg.norm(direction))
    if not length > 1e-6:
        raise Implausible(f"{what}: its landmarks give it no direction")
    return direction / length


def _direction(rule: Axis, anatomy: Anatomy, points: Points) -> NDArray[np.float64]:
    """What an axis points along, of any length."""
    if rule.cross is not None:
        first, second = (axis(name, anatomy, points) for name in rule.cross)
        return np.cross(first, second)
    if rule.along is not None:
        start, end = (_mean(names, points) for names in rule.along)
        if np.linalg.norm(end - start) < SHORTEST_MM:
            raise Implausible(f"{', '.join(rule.along[0])} and {', '.join(rule.along[1])} lie in one place")
        return end - start
    normal, _ = fitted_plane(rule.normal_of or (), points)
    start, end = (points[name] for name in rule.towards or ())
    side = float((end - start) @ normal)
    if abs(side) < SHORTEST_MM:
        raise Implausible(f"{' and '.join(rule.towards or ())} lie on the plane and tell no side of it")
    return normal * np.sign(side)


def fitted_plane(names: Iterable[str], points: Points) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Normal (3,) of the plane that fits landmarks best, and how far each lies off it in mm; by least squares."""
    names = tuple(names)
    cloud = np.array([points[name] for name in names])
    middle = cloud.mean(axis=0)
    _, extents, directions = np.linalg.svd(cloud - middle, full_matrices=False)
    if extents[1] < THINNEST_MM:
        raise Implausible(f"{', '.join(names)} lie on a line and span no plane")
    normal = directions[2]
    off_mm = (cloud - middle) @ normal
    return normal, {name: abs(float(mm)) for name, mm in zip(names, off_mm, strict=True)}


def _mean(names: tuple[str, ...], points: Points) -> NDArray[np.float64]:
    return np.mean([points[name] for name in names], axis=0)

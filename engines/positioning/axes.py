"""Directions of a body, made of its landmarks as an anatomy's file says; of many bodies at once where points are."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.anatomy import Anatomy, Axis

__all__ = ["Implausible", "axis", "fitted_plane", "unit"]

Points: TypeAlias = Mapping[str, NDArray[np.float64]]  # name -> (..., 3) LPS mm
SHORTEST_MM = 1.0  # a direction between points that are nearer is noise
THINNEST_MM = 2.0  # of the second extent of points that span a plane: nearer to a line than this they span none


class Implausible(Exception):  # noqa: N818 - it is said of the landmarks
    """Landmarks that cannot be those of such a body."""


def axis(name: str, anatomy: Anatomy, points: Points) -> NDArray[np.float64]:
    """Unit vector (..., 3) of an axis, '-' in front turns it round; raises Implausible where landmarks span none."""
    sign = -1.0 if name.startswith("-") else 1.0
    rule = anatomy.axes[name.removeprefix("-")]
    direction = _direction(rule, anatomy, points)
    if rule.square_to is not None:
        other = axis(rule.square_to, anatomy, points)
        direction = direction - other * _dot(other, direction)
    return sign * unit(direction, f"axis '{name}'")


def unit(direction: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    """Vectors of length 1; raises Implausible where there is next to none."""
    length = _length(direction)
    if not (length > 1e-6).all():
        raise Implausible(f"{what}: its landmarks give it no direction")
    return direction / length


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((one * other).sum(axis=-1, keepdims=True))


def _length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors, axis=-1, keepdims=True))


def _direction(rule: Axis, anatomy: Anatomy, points: Points) -> NDArray[np.float64]:
    """What an axis points along, of any length."""
    if rule.cross is not None:
        first, second = (axis(name, anatomy, points) for name in rule.cross)
        return np.cross(first, second)
    if rule.along is not None:
        start, end = (_mean(names, points) for names in rule.along)
        if (_length(end - start) < SHORTEST_MM).any():
            raise Implausible(f"{', '.join(rule.along[0])} and {', '.join(rule.along[1])} lie in one place")
        return end - start
    normal, _ = fitted_plane(rule.normal_of or (), points)
    start, end = (points[name] for name in rule.towards or ())
    side = _dot(end - start, normal)
    if (np.abs(side) < SHORTEST_MM).any():
        raise Implausible(f"{' and '.join(rule.towards or ())} lie on the plane and tell no side of it")
    return normal * np.sign(side)


def fitted_plane(names: Iterable[str], points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal (..., 3) of the plane that fits landmarks best, and how far each (..., n) lies off it, mm."""
    names = tuple(names)
    cloud = np.stack([points[name] for name in names], axis=-2)
    about = cloud - cloud.mean(axis=-2, keepdims=True)
    _, extents, directions = np.linalg.svd(about, full_matrices=False)
    if (extents[..., 1] < THINNEST_MM).any():
        raise Implausible(f"{', '.join(names)} lie on a line and span no plane")
    normal = directions[..., 2, :]
    return normal, np.abs(_dot(about, normal[..., None, :])[..., 0])


def _mean(names: tuple[str, ...], points: Points) -> NDArray[np.float64]:
    return np.asarray(sum(points[name] for name in names) / len(names))

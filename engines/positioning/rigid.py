"""How a head has moved between two measurements: the turn and the shift that lay one upon the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.scout import Scout
from protocols.geometry import rotation_of

__all__ = [
    "STILL",
    "Image",
    "Moved",
    "Points",
    "aligned",
    "correlation",
    "points_of",
    "rotation",
    "searched",
    "trusted",
]

Array: TypeAlias = NDArray[np.float64]
SMOOTH_MM: Final = (9.0, 4.5)  # of the images, coarse and fine
STEPS: Final = 25
ENOUGH: Final = 1e-3  # mm, and mrad times 10 cm: a step that is smaller is the last
POWERS: Final = 4  # of a polynomial that takes one contrast to the other
ORDER: Final = 3  # of the polynomial of place by which shading may differ: coils stay where the head does not
OUTLIER: Final = 3.0  # robust standard deviations from which a point counts less
MOST: Final = 12_000  # points
FEW: Final = 1_500  # points, and
FIRST_STEPS: Final = 8  # steps, from each of many beginnings
BRIGHT: Final = 0.1  # of the 98th percentile: darker points tell little
RADIUS_MM: Final = 100.0  # of a head: what a turn does at its rim


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Place now = turn @ place then + shift, LPS mm; and how well the images agree there."""

    turn: Array  # (3, 3)
    shift_mm: Array  # (3,)
    likeness: float = 0.0  # correlation of the images after their contrasts have been matched

    def to_now(self, places_mm: Array) -> Array:
        """Places (..., 3) then, now."""
        return places_mm @ self.turn.T + self.shift_mm

    @property
    def angle_deg(self) -> float:
        """Angle of the turn."""
        sine = np.linalg.norm((self.turn - self.turn.T)[np.tril_indices(3, -1)]) / 2**0.5 / 2**0.5
        return float(np.degrees(np.arctan2(sine, (np.trace(self.turn) - 1) / 2)))

    def distance_mm(self, place_mm: Array) -> float:
        """How far a place then lies from where it is now."""
        return float(np.linalg.norm(self.to_now(place_mm) - place_mm))


STILL: Final = Moved(np.eye(3), np.zeros(3))


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What was seen at places, of any contrast."""

    places_mm: Array  # (n, 3) LPS
    values: NDArray[np.float32]  # (n,)

    def thinned(self, most: int = MOST) -> "Points":
        """Every k-th of them, so that there are not too many."""
        step = -(-len(self.values) // most)
        return Points(self.places_mm[::step], self.values[::step])


def points_of(scout: Scout, smooth_mm: float = SMOOTH_MM[-1]) -> Points:
    """The voxels of a scout that show something, and those next to them."""
    pixels = _smoothed(scout, smooth_mm)
    level = BRIGHT * float(np.percentile(pixels, 98))
    shown = ndimage.binary_dilation(pixels > level, iterations=2)
    index = np.argwhere(shown)[:, ::-1]
    return Points(index @ scout.affine[:3, :3].T + scout.affine[:3, 3], pixels[shown])


def aligned(then: Points, now: Scout, start: Moved = STILL) -> Moved:
    """Where points of another measurement lie in a scout, by Gauss-Newton from a first guess.

    Polynomials take the scout's contrast and shading to those of the points, refitted at every step (Guimond et al.,
    IEEE Trans Med Imaging 2001; 20:58); points that fit badly count less. The guess should not be farther off than 20
    mm and 20 degrees.
    """
    found = start
    some = then.thinned()
    for smooth_mm in SMOOTH_MM:
        found = _descended(some, Image.of(now, smooth_mm), found)
    return found


def searched(then: Points, now: Scout, starts: Iterable[Moved]) -> Moved:
    """The first guess, a few steps on, from which points look most like a scout; for heads that lie far apart."""
    image, few = Image.of(now, SMOOTH_MM[0]), then.thinned(FEW)
    return max((_descended(few, image, start, FIRST_STEPS) for start in starts), key=lambda moved: moved.likeness)


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A smoothed scout with its slopes."""

    inverse: Array  # (4, 4) LPS mm to voxel x, y, z
    layers: tuple[NDArray[np.float32], ...]  # value, slopes along x, y, z of LPS per mm; each (z, y, x)
    counts: NDArray[np.bool_]  # (z, y, x)

    @classmethod
    def of(cls, scout: Scout, smooth_mm: float, counts: NDArray[np.bool_] | None = None) -> "Image":
        """A scout of which some voxels count, or all."""
        pixels = _smoothed(scout, smooth_mm)
        inverse = np.linalg.inv(scout.affine).astype(np.float64)
        z, y, x = np.gradient(pixels)
        by_voxel = np.stack((x, y, z))
        slopes = np.tensordot(inverse[:3, :3].T, by_voxel, 1).astype(np.float32)
        return cls(inverse, (pixels, *slopes), np.ones(pixels.shape, np.bool_) if counts is None else counts)

    def at(self, places_mm: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Values (n,), slopes (n, 3), and which places count."""
        voxels = (places_mm @ self.inverse[:3, :3].T + self.inverse[:3, 3]).T[::-1]
        shape = np.array(self.layers[0].shape)[:, None]
        nearest = np.clip(np.rint(voxels).astype(np.intp), 0, shape - 1)
        inside = ((voxels >= 0) & (voxels <= shape - 1)).all(axis=0) & self.counts[tuple(nearest)]
        seen = [ndimage.map_coordinates(layer, voxels, order=1, mode="nearest") for layer in self.layers]
        return seen[0].astype(np.float64), np.stack(seen[1:], axis=1).astype(np.float64), inside


def _smoothed(scout: Scout, smooth_mm: float) -> NDArray[np.float32]:
    """Pixels that a Gaussian of this full width at half maximum has passed."""
    spacing_mm = np.linalg.norm(scout.affine[:3, :3], axis=0)[::-1]
    sigma = smooth_mm / 2.355 / spacing_mm
    return np.asarray(ndimage.gaussian_filter(np.nan_to_num(scout.pixels), sigma, truncate=3.0), np.float32)


def _descended(then: Points, image: Image, found: Moved, steps: int = STEPS) -> Moved:
    """Steps of Gauss-Newton until they are small."""
    turn, shift = found.turn, found.shift_mm
    shading = _shading(then.places_mm)
    likeness = 0.0
    for _ in range(steps):
        places = then.places_mm @ turn.T + shift
        values, slopes, inside = image.at(places)
        if np.count_nonzero(inside) < 100:
            return Moved(turn, shift, 0.0)
        mapped, steepness = _matched(values, then.values, shading, inside)
        left = then.values - mapped
        weights = trusted(left, inside)
        likeness = correlation(mapped, then.values, inside)
        middle = places[inside].mean(axis=0)
        pull = slopes * steepness[:, None]
        design = np.concatenate((np.cross(places - middle, pull), pull), axis=1)
        normal = design.T @ (design * weights[:, None])
        scale = np.diag(normal).max() or 1.0
        step = np.linalg.solve(normal + 1e-9 * scale * np.eye(6), design.T @ (left * weights)).astype(np.float64)
        small = rotation(step[:3])
        turn, shift = small @ turn, small @ (shift - middle) + middle + step[3:]
        if max(RADIUS_MM * float(np.abs(step[:3]).max()), float(np.abs(step[3:]).max())) < ENOUGH:
            break
    return Moved(turn, shift, likeness)


def _shading(places_mm: Array) -> Array:
    """Powers (n, term) of the place, of low order, none of order 0."""
    centred = (places_mm - places_mm.mean(axis=0)) / RADIUS_MM
    terms = [
        np.prod(centred[:, list(axes)], axis=1)
        for order in range(1, ORDER + 1)
        for axes in combinations_with_replacement(range(3), order)
    ]
    return np.stack(terms, axis=1)


def _matched(
    values: Array, wanted: NDArray[np.float32], shading: Array, inside: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """What values would be with the contrast and the shading of what is wanted, and how that grows with them."""
    size = max(float(values[inside].max()), 1e-12)
    level = (values / size)[:, None]
    powers = level ** np.arange(POWERS)
    terms = np.concatenate((powers, level * shading), axis=1)
    weights = np.linalg.lstsq(terms[inside], wanted[inside].astype(np.float64), rcond=None)[0]
    slope = (powers[:, :-1] * np.arange(1, POWERS)) @ weights[1:POWERS] + shading @ weights[POWERS:]
    return terms @ weights, slope / size


def trusted(left: Array, inside: NDArray[np.bool_]) -> Array:
    """Weights (n,): 1 for points that fit, less for others, 0 for those outside; Huber's."""
    spread = 1.4826 * float(np.median(np.abs(left[inside]))) or 1e-12
    return np.asarray(inside * np.minimum(1.0, OUTLIER * spread / np.maximum(np.abs(left), 1e-12)), np.float64)


def correlation(one: Array, other: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Of values (n,) that lie inside; 0 where one of both is the same everywhere."""
    a, b = one[inside] - one[inside].mean(), other[inside] - other[inside].mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 0 else 0.0


def rotation(vector: Array) -> Array:
    """(3, 3) of a rotation vector."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = (float(value) for value in np.sin(angle / 2) / angle * vector)
    return rotation_of((x, y, z, float(np.cos(angle / 2))))

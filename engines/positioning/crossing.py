"""How a head has moved since a scout of slices: what they and the slices of now show on the lines where they cross."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.descent import Meet, Met, descended
from engines.positioning.gather import Slab, affine_of
from engines.positioning.grid import Sheet, evened
from engines.positioning.rigid import STILL, Moved, rotation
from engines.positioning.scout import bare
from engines.positioning.since import SHADE_MM

__all__ = ["Slices", "moved_between"]

Array: TypeAlias = NDArray[np.float64]
WIDTHS_MM: Final = (9.0, 3.5, 2.5)  # full widths at half maximum of the smoothing, coarse to fine
STEP_MM: Final = 2.0  # between the points of a line
HALF_MM: Final = 150.0  # of a line, about its middle
STEEP: Final = 0.5  # sine of the angle from which on two slices cross; others are no line
ORDER: Final = 3  # of the polynomial of the place by which contrasts may differ
DOUBTFUL: Final = 0.65  # likeness below which the search begins from other places, too:
START_MM, START_DEG, FIRST_STEPS = 10.0, 10.0, 6  # so far along and about each axis, with so many steps


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The slices of one scan, of any planes."""

    slabs: tuple[Slab, ...]


def moved_between(slices: Sequence[Slab], scout: Slices, sheet: Sheet, counts: NDArray[np.bool_]) -> Moved:
    """The turn and the shift that lay slices upon those of a scout, where voxels (z, y, x) of a sheet count.

    Two slices that cross see the same line of a body (Kim et al., IEEE Trans Med Imaging 2010; 29:146). Where the line
    lies in either depends on the pose, and each shows the slopes that the other one cannot see: all of them are known.
    Up to 15 mm and 15 degrees are found.
    """
    meets = [_crossing(slices, scout, width_mm, sheet, counts) for width_mm in WIDTHS_MM]
    found = _refined(meets, STILL)
    if found.likeness < DOUBTFUL:
        middle_mm = np.mean([grid.position_mm for _, grid in slices], axis=0)
        tries = [descended(meets[0], start, ORDER, FIRST_STEPS) for start in _starts(middle_mm)]
        found = max(found, _refined(meets, max(tries, key=_likeness)), key=_likeness)
    return found


def _refined(meets: Sequence[Meet], found: Moved) -> Moved:
    """Coarse to fine."""
    for meet in meets:
        found = descended(meet, found, ORDER)
    return found


def _starts(middle_mm: Array) -> Iterator[Moved]:
    """Guesses about where the head was, along and about every axis either way."""
    for axis in (*np.eye(3), *-np.eye(3)):
        yield Moved(np.eye(3), START_MM * axis)
        turn = rotation(np.deg2rad(START_DEG) * axis)
        yield Moved(turn, middle_mm - turn @ middle_mm)


def _likeness(found: Moved) -> float:
    return found.likeness


@dataclass(frozen=True, slots=True, eq=False)
class _Leaf:
    """One slice without shading, smoothed, and its slopes."""

    layers: tuple[NDArray[np.float32], ...]  # value, slopes along a row and along a column, per mm; each (y, x)
    middle_mm: Array  # (3,)
    axes: Array  # (2, 3) along a row, along a column
    spacing_mm: Array  # (2,) of these

    @classmethod
    def of(cls, slab: Slab, width_mm: float) -> "_Leaf":
        pixels, grid = slab
        sheet = Sheet(bare(pixels, affine_of(grid)))
        seen = evened(sheet, SHADE_MM, width_mm)[0][0]
        mm = sheet.spacing_mm[:0:-1]
        down, across = np.gradient(seen)
        return cls((seen, across / mm[0], down / mm[1]), sheet.middle_mm, (sheet.affine[:3, :2] / mm).T, mm)

    @property
    def normal(self) -> Array:
        return np.cross(*self.axes)

    def at(self, places_mm: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Values and slopes (n, 4) at places (n, 3) in the slice, and which lie within it."""
        last = np.array(self.layers[0].shape[::-1]) - 1
        pixels = (places_mm - self.middle_mm) @ self.axes.T / self.spacing_mm + last / 2
        value, across, down = (
            ndimage.map_coordinates(layer, pixels.T[::-1], np.float64, 1, mode="nearest") for layer in self.layers
        )
        slopes = across[:, None] * self.axes[0] + down[:, None] * self.axes[1]
        return np.column_stack((value, slopes)), np.asarray(((pixels >= 0) & (pixels <= last)).all(axis=1))


def _crossing(slices: Sequence[Slab], scout: Slices, width_mm: float, sheet: Sheet, counts: NDArray[np.bool_]) -> Meet:
    """Points on the lines where slices of now cross those of then."""
    now, then = ([_Leaf.of(slab, width_mm) for slab in slabs] for slabs in (slices, scout.slabs))
    axes, middles = (np.stack([getattr(leaf, name) for leaf in now]) for name in ("axes", "middle_mm"))
    normals, others = (np.stack([getattr(leaf, name) for leaf in then]) for name in ("normal", "middle_mm"))
    along = np.arange(-HALF_MM, HALF_MM + STEP_MM, STEP_MM)

    def meet(turn: Array, shift: Array) -> Met:
        tilts = np.einsum("tc,cd,nad->nta", normals, turn, axes)
        sines = np.linalg.norm(tilts, axis=2)
        one, other = np.nonzero(sines >= STEEP)
        sine = sines[one, other]
        tilt = tilts[one, other] / sine[:, None]
        apart = ((middles[one] @ turn.T + shift - others[other]) * normals[other]).sum(axis=1)
        across, line = (np.einsum("pa,pad->pd", way, axes[one]) for way in (tilt, tilt[:, ::-1] * (-1, 1)))
        nearest = middles[one] - (apart / sine)[:, None] * across
        here = (nearest[:, None] + along[:, None] * line[:, None]).reshape(-1, 3)
        pair = np.repeat(np.arange(len(one)), len(along))
        inside = _counting(here @ turn.T + shift, sheet, counts)
        here, pair = here[inside], pair[inside]
        there = here @ turn.T + shift
        seen, shown = _sampled(now, one[pair], here)
        known, held = _sampled(then, other[pair], there)
        both = shown & held
        seen, known, pair, there = seen[both], known[both], pair[both], there[both]
        normal, turned, sine = normals[other[pair]], across[pair] @ turn.T, sine[pair, None]
        slopes = known[:, 1:] - normal * (known[:, 1:] * turned).sum(axis=1, keepdims=True) / sine
        further = normal * (seen[:, 1:] * across[pair]).sum(axis=1, keepdims=True) / sine
        return Met(there, known[:, 0], seen[:, 0], slopes, further)

    return meet


def _counting(places_mm: Array, sheet: Sheet, counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which places lie in voxels that count."""
    voxels = np.rint(places_mm @ sheet.inverse[:3, :3].T + sheet.inverse[:3, 3]).astype(np.intp)[:, ::-1]
    inside = np.asarray(((voxels >= 0) & (voxels < counts.shape)).all(axis=1))
    inside[inside] = counts[tuple(voxels[inside].T)]
    return inside


def _sampled(leaves: Sequence[_Leaf], which: NDArray[np.intp], places_mm: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Values and slopes (n, 4) at places, each in a leaf of its own, and which lie within it."""
    seen, inside = np.zeros((len(which), 4)), np.zeros(len(which), np.bool_)
    for number, leaf in enumerate(leaves):
        here = which == number
        seen[here], inside[here] = leaf.at(places_mm[here])
    return seen, inside

"""How a head has moved since a scout, by slices of any contrast: both without their shading, compared in the brain."""

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.descent import FEWEST, Meet, Met, descended
from engines.positioning.gather import Slab, affine_of
from engines.positioning.grid import Sheet, evened
from engines.positioning.rigid import STILL, Image, Moved, Points
from engines.positioning.scout import Scout, bare

__all__ = ["SHADE_MM", "WIDTHS_MM", "beneath", "levelled", "moved_since", "near_to", "points_in"]

Array: TypeAlias = NDArray[np.float64]
SHADE_MM: Final = 9.0  # about which brightness is divided by its mean: near a coil it is six times that of the middle
WIDTHS_MM: Final = (9.0, 3.5)  # full widths at half maximum of the smoothing, coarse and fine
STEP_MM: Final = 4.0  # between the points of a slice
NEAR: Final = 4  # voxels beside what counts, from which a head may come
MOST: Final = 8_000  # points: three times as many tell no more
BRIGHT: Final = 0.1  # of the 98th percentile: darker voxels are air
CLOSED: Final = 3  # voxels: clefts of a surface that are narrower are none


def moved_since(slices: Points, scout: Sheet, counts: NDArray[np.bool_]) -> Moved:
    """The turn and the shift that lay the points of slices upon a scout, where its voxels (z, y, x) count.

    Up to 20 mm and 20 degrees are found.
    """
    level = levelled(scout)
    near, found = near_to(slices, scout, counts), STILL
    if len(near.values) < FEWEST:
        return found
    for width_mm in WIDTHS_MM:
        found = descended(_upon(near.thinned(MOST), Image.of(level, width_mm, counts)), found)
    return found


def levelled(scout: Sheet) -> Scout:
    """A scout without the coils' shading."""
    return bare(scout.pixels / scout.shade(SHADE_MM), scout.affine)


def points_in(slices: Iterable[Slab]) -> Points:
    """Every STEP_MM a point of slices, without shading, smoothed to what a scout shows."""
    places, values = [], []
    for pixels, grid in slices:
        sheet = Sheet(bare(pixels, affine_of(grid)))
        seen, _ = evened(sheet, SHADE_MM, WIDTHS_MM[-1])
        down, across = (max(1, round(STEP_MM / float(mm))) for mm in sheet.spacing_mm[1:])
        index = np.moveaxis(np.indices(seen.shape)[::-1], 0, -1)[:, ::down, ::across].reshape(-1, 3)
        places.append(index @ sheet.affine[:3, :3].T + sheet.affine[:3, 3])
        values.append(seen[:, ::down, ::across].ravel())
    return Points(np.concatenate(places), np.concatenate(values))


def beneath(sheet: Sheet, depth_mm: float) -> NDArray[np.bool_]:
    """Voxels (z, y, x) of a scout that lie so far beneath the surface of what it shows."""
    sigma = WIDTHS_MM[-1] / 2.355 / sheet.spacing_mm
    pixels = ndimage.gaussian_filter(sheet.pixels, sigma, truncate=3.0)
    shown = pixels > BRIGHT * float(np.percentile(pixels, 98))
    closed = ndimage.binary_closing(np.pad(shown, CLOSED), iterations=CLOSED)[(slice(CLOSED, -CLOSED),) * 3]
    whole = ndimage.binary_fill_holes(closed)
    return np.asarray(ndimage.distance_transform_edt(whole, sampling=sheet.spacing_mm) > depth_mm)


def near_to(slices: Points, scout: Sheet, counts: NDArray[np.bool_]) -> Points:
    """Points that lie within what counts, or a few voxels beside it."""
    wide = ndimage.binary_dilation(counts, iterations=NEAR)
    voxels = np.rint(slices.places_mm @ scout.inverse[:3, :3].T + scout.inverse[:3, 3]).astype(np.intp)[:, ::-1]
    inside = ((voxels >= 0) & (voxels < wide.shape)).all(axis=1)
    inside[inside] = wide[tuple(voxels[inside].T)]
    return Points(slices.places_mm[inside], slices.values[inside])


def _upon(slices: Points, image: Image) -> Meet:
    """Points of slices, and what a scout shows there."""
    seen = slices.values.astype(np.float64)

    def meet(turn: Array, shift: Array) -> Met:
        places = slices.places_mm @ turn.T + shift
        values, slopes, inside = image.at(places)
        return Met(places[inside], values[inside], seen[inside], slopes[inside], None)

    return meet

"""How a head has moved since a scout, by slices of any contrast: both without their shading, compared in the brain."""

from collections.abc import Iterable
from itertools import combinations_with_replacement
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.gather import Slab, affine_of
from engines.positioning.grid import Sheet, evened
from engines.positioning.rigid import STILL, Image, Moved, Points, correlation, rotation, trusted
from engines.positioning.scout import Scout, bare

__all__ = ["SHADE_MM", "beneath", "levelled", "moved_since", "near_to", "points_in", "shading_of", "solved"]

Array: TypeAlias = NDArray[np.float64]
SHADE_MM: Final = 9.0  # about which brightness is divided by its mean: near a coil it is six times that of the middle
WIDTHS_MM: Final = (9.0, 3.5)  # full widths at half maximum of the smoothing, coarse and fine
STEP_MM: Final = 4.0  # between the points of a slice
NEAR: Final = 4  # voxels beside what counts, from which a head may come
MOST: Final = 8_000  # points: three times as many tell no more
FEWEST: Final = 300  # of them that a comparison needs
STEPS: Final = 25
ENOUGH: Final = 1e-2  # mm, and mrad times 10 cm: a step that is smaller is the last
RADIUS_MM: Final = 100.0
POWERS: Final = 4  # of a polynomial that takes the scout's contrast to that of the slices,
ORDER: Final = 2  # each with a polynomial of the place of this order, for what is left of the shading
STIFF: Final = 1e-6  # of the mean eigenvalue, so that terms that tell the same do no harm
BRIGHT: Final = 0.1  # of the 98th percentile: darker voxels are air
CLOSED: Final = 3  # voxels: clefts of a surface that are narrower are none


def moved_since(slices: Points, scout: Sheet, counts: NDArray[np.bool_]) -> Moved:
    """The turn and the shift that lay the points of slices upon a scout, where its voxels (z, y, x) count.

    Gauss-Newton over the pose alone: what takes the scout's contrast to that of the slices is solved for at every step
    and projected out (Golub and Pereyra, SIAM J Numer Anal 1973; 10:413); points that fit badly count less. Up to 20 mm
    and 20 degrees are found.
    """
    level = levelled(scout)
    near, found = near_to(slices, scout, counts), STILL
    if len(near.values) < FEWEST:
        return found
    for width_mm in WIDTHS_MM:
        found = _descended(near.thinned(MOST), Image.of(level, width_mm, counts), found)
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


def _descended(slices: Points, image: Image, found: Moved) -> Moved:
    """Steps of Gauss-Newton until they are small."""
    turn, shift, likeness = found.turn, found.shift_mm, 0.0
    wanted, shading = slices.values.astype(np.float64), shading_of(slices.places_mm)
    size, weights = 1.0, np.ones(len(wanted))
    for step_number in range(STEPS):
        places = slices.places_mm @ turn.T + shift
        values, slopes, inside = image.at(places)
        if np.count_nonzero(inside) < FEWEST:
            return Moved(turn, shift, 0.0)
        if not step_number:
            size = float(np.percentile(values[inside], 99.5)) or 1.0
        powers = (values / size)[:, None] ** np.arange(POWERS)
        terms = (powers[:, :, None] * shading[:, None]).reshape(len(values), -1)
        share = solved(terms, inside * weights, wanted[:, None])[:, 0]
        left = wanted - terms @ share
        weights = trusted(left, inside)
        likeness = correlation(wanted - left, slices.values, inside)
        growth = shading @ share.reshape(POWERS, -1).T
        steepness = (powers[:, :-1] * np.arange(1, POWERS) * growth[:, 1:]).sum(axis=1) / size
        middle = places[inside].mean(axis=0)
        pull = slopes * steepness[:, None]
        design = np.concatenate((np.cross(places - middle, pull), pull, left[:, None]), axis=1)
        design = design - terms @ solved(terms, weights, design)
        design, left = design[:, :6], design[:, 6]
        normal = design.T @ (design * weights[:, None])
        step = np.linalg.solve(normal + 1e-9 * np.diag(normal).max() * np.eye(6), design.T @ (left * weights))
        small = rotation(step[:3])
        turn, shift = small @ turn, small @ (shift - middle) + middle + step[3:]
        if max(RADIUS_MM * float(np.abs(step[:3]).max()), float(np.abs(step[3:]).max())) < ENOUGH:
            break
    return Moved(turn, shift, likeness)


def solved(terms: Array, weights: Array, wanted: Array) -> Array:
    """Shares (term, n) of terms (point, term) in what is wanted (point, n)."""
    weighted = terms * weights[:, None]
    normal = weighted.T @ terms
    normal[np.diag_indices_from(normal)] += STIFF * np.trace(normal) / len(normal)
    return np.asarray(np.linalg.solve(normal, weighted.T @ wanted), np.float64)


def shading_of(places_mm: Array) -> Array:
    """Powers (n, term) of the place, of low order."""
    centred = (places_mm - places_mm.mean(axis=0)) / RADIUS_MM
    orders = [axes for order in range(ORDER + 1) for axes in combinations_with_replacement(range(3), order)]
    return np.stack([np.prod(centred[:, list(axes)], axis=1) for axes in orders], axis=1)

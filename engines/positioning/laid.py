"""The mean head laid upon a scout: turned, shifted and sized, then stretched, then bent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engines.positioning.grid import Sheet, evened
from engines.positioning.mean_head import Cloud, MeanHead
from engines.positioning.pose import Pose

__all__ = ["Laid", "laid", "laid_from"]

SHADE_MM: Final = 9.0  # about which brightness is divided by its mean: coils and most of the contrast are gone then
WIDTH_MM: Final = 5.0  # full width at half maximum of the smoothing, of a scout
TURNS, STRETCHES, BENDS = 12, 8, 4  # steps
LONGEST: Final = 1.2  # of a stretch, or of its inverse: bodies that were seen differ by 1.12 from the mean at most
ENOUGH: Final = 0.02  # mm, as the outermost point moves: a step that is smaller is the last
RADIUS_MM: Final = 100.0
POWERS: Final = 4  # of a polynomial that takes the mean's brightness to the scout's
ORDER: Final = 2  # of what is left of the shading
OUTLIER: Final = 3.0  # robust standard deviations from which a point counts less
ALIKE: Final = 40.0  # neighbouring points that tell the same, as smoothing and anatomy have it
FEWEST: Final = 500  # points that a scout must show
BETTER: Final = 0.1  # likeness by which another beginning must look better than the first to go before it
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """Place in the scanner = matrix @ (place + bend there) + shift; LPS mm, places of the mean head."""

    mean: MeanHead
    posed: Pose  # without stretch and bend
    matrix: Array  # (3, 3)
    shift_mm: Array  # (3,)
    bend_mm: Array  # (node, 3)
    likeness: float  # correlation of what the scout shows and of what it should
    measured: float  # share of the brain's points that the scout shows
    contrast: float  # correlation of what the scout shows and of the mean's own brightness: below 0 it is turned over

    def to_scanner(self, places_mm: Array) -> Array:
        """Places (n, 3) of the mean head, in the scanner."""
        return self.bent(places_mm, self.mean.lattice.shares(places_mm))

    def bent(self, places_mm: Array, shares: csr_matrix) -> Array:
        """The same of places whose shares of the nodes are known."""
        return (places_mm + shares @ self.bend_mm) @ self.matrix.T + self.shift_mm

    def unbent(self, places_mm: Array) -> Array:
        """Places (n, 3) of the scanner, in the mean head, bends left out."""
        return (places_mm - self.shift_mm) @ np.linalg.inv(self.matrix).T

    def to_mean(self, places_mm: Array) -> Array:
        """Places (n, 3) of the scanner, in the mean head."""
        found = straight = self.unbent(places_mm)
        for _ in range(6):
            found = straight - self.mean.lattice.shares(found) @ self.bend_mm
        return found


def laid(sheet: Sheet, mean: MeanHead, pose: Pose) -> Laid | None:
    """Lay the mean head upon a scout from a pose not farther off than 15 mm and 15 degrees; None where little is seen.

    Gauss-Newton with the mean's slopes (inverse composition: Baker and Matthews, Int J Comput Vis 2004; 56:221); a
    polynomial takes the mean's brightness to the scout's, refitted at every step. Bends are stiff: a Gaussian process.
    """
    return laid_from(sheet, mean, (pose,), lambda _: True)


def laid_from(sheet: Sheet, mean: MeanHead, poses: Sequence[Pose], fits: Callable[[Laid], bool]) -> Laid | None:
    """Lay it from several poses until one fits, the first one first if no other looks BETTER after its first steps."""
    image = _Image(sheet)
    begun = [_begun(image, mean.some, pose) for pose in poses if image.shown(mean.brain, pose)]
    if begun:
        begun[0] = (begun[0][0] + BETTER, *begun[0][1:])
    for _, matrix, shift in sorted(begun, key=lambda one: -one[0]):
        lies = _ended(image, mean, matrix, shift)
        if fits(lies):
            return lies
    return None


def _begun(image: "_Image", cloud: Cloud, pose: Pose) -> tuple[float, Array, Array]:
    """How well a scout is met after first steps from a pose, and these."""
    matrix, shift = _moved(image, cloud, pose.scale * pose.turn, pose.shift_mm, TURNS, SIMILAR)
    values, known = image.at(cloud.places_mm @ matrix.T + shift)
    wanted, *_ = _match_of(cloud)(values, known)
    return _alike(values[known > 0], wanted[known > 0]), matrix, shift


def _ended(image: "_Image", mean: MeanHead, matrix: Array, shift: Array) -> Laid:
    matrix, shift = _moved(image, mean.brain, matrix, shift, TURNS, SIMILAR)
    left, sizes, right = np.linalg.svd(matrix)
    posed = Pose(left @ right, float(sizes.mean()), shift)
    matrix, shift = _stretched(image, mean.brain, matrix, shift, posed)
    bend, likeness, contrast = _bent(image, mean, matrix, shift)
    measured = float(image.at(posed.to_scanner(mean.brain.places_mm))[1].mean())
    return Laid(mean, posed, matrix, shift, bend, likeness, measured, contrast)


def _stretched(image: "_Image", cloud: Cloud, matrix: Array, shift: Array, posed: Pose) -> tuple[Array, Array]:
    """The affine step from a pose; what no body is stretched by is not believed, and the pose stays."""
    found, there = _moved(image, cloud, matrix, shift, STRETCHES, AFFINE)
    sizes = np.linalg.svd(found, compute_uv=False) / posed.scale
    return (found, there) if sizes[-1] >= 1 / LONGEST and sizes[0] <= LONGEST else (matrix, shift)


class _Image:
    """A scout without shading, smoothed."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.pixels, share = evened(sheet, SHADE_MM, WIDTH_MM)
        self.share = None if sheet.known.all() else share

    def at(self, places_mm: Array) -> tuple[Array, Array]:
        """Values (n,) and whether they count, 1 or 0."""
        values = self.sheet.at(self.pixels, places_mm, np.nan)
        inside = np.isfinite(values)
        known = inside if self.share is None else self.sheet.at(self.share, places_mm) > 0.5
        if not inside.all():
            values[~inside] = 0
        return values.astype(np.float64), known.astype(np.float64)

    def shown(self, cloud: Cloud, pose: Pose) -> bool:
        values, known = self.at(pose.to_scanner(cloud.places_mm))
        return known.sum() >= FEWEST and bool(values[known > 0].std() > 0)


class _Match:
    """What the scout would show of the mean's points, of any contrast."""

    def __init__(self, cloud: Cloud) -> None:
        level = cloud.values[:, None]
        powers = level ** np.arange(POWERS)
        centred = (cloud.places_mm - cloud.places_mm.mean(axis=0)) / RADIUS_MM
        orders = [axes for order in range(1, ORDER + 1) for axes in combinations_with_replacement(range(3), order)]
        shading = np.stack([np.prod(centred[:, list(axes)], axis=1) for axes in orders], axis=1)
        self.terms = np.concatenate((powers, level * shading), axis=1)
        rises = powers[:, :-1] * np.arange(1, POWERS)
        self.rises = np.concatenate((np.zeros_like(level), rises, shading), axis=1)  # of the terms with the level

    def __call__(self, values: Array, known: Array) -> tuple[Array, Array, Array, float]:
        """Wanted values, how they grow with the mean's, weights, and the robust spread of what is left."""
        from engines.positioning.equations import equations  # native code, as in grid.py

        normal, pulled = equations(self.terms, known, values)
        found = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(len(normal)), pulled)
        wanted = self.terms @ found
        off = np.abs(values - wanted)
        spread = 1.4826 * float(np.median(off if known.all() else off[known > 0])) + 1e-12
        weights = known * np.minimum(1.0, OUTLIER * spread / np.maximum(off, 1e-12))
        return wanted, self.rises @ found, weights, spread


@lru_cache(maxsize=8)
def _match_of(cloud: Cloud) -> _Match:
    return _Match(cloud)


def _similar() -> Array:
    """The matrix (12, 7) that makes an affine step of turns, shifts and size."""
    basis = np.zeros((12, 7))
    for axis, (one, other) in enumerate(((1, 2), (2, 0), (0, 1))):
        basis[3 * other + one, axis], basis[3 * one + other, axis] = 1.0, -1.0
    basis[9:, 3:6] = np.eye(3)
    basis[(0, 4, 8), 6] = 1.0
    return basis


SIMILAR: Final = _similar()
AFFINE: Final = np.eye(12)


def _moved(image: _Image, cloud: Cloud, matrix: Array, shift: Array, steps: int, basis: Array) -> tuple[Array, Array]:
    from engines.positioning.equations import affine_equations

    match, middle = _match_of(cloud), cloud.places_mm.mean(axis=0)
    arms = (cloud.places_mm - middle) / RADIUS_MM
    for _ in range(steps):
        values, known = image.at(cloud.places_mm @ matrix.T + shift)
        wanted, growth, weights, _ = match(values, known)
        normal, pulled = affine_equations(arms, cloud.slopes * growth[:, None], weights, wanted - values)
        normal = basis.T @ normal @ basis
        normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
        step = basis @ np.linalg.solve(normal, basis.T @ pulled)
        stretch, along = step[:9].reshape(3, 3) / RADIUS_MM, step[9:]
        shift = matrix @ (along - stretch @ middle) + shift
        matrix = matrix @ (np.eye(3) + stretch)
        if np.abs(step).max() < ENOUGH:
            break
    return matrix, shift


def _bent(image: _Image, mean: MeanHead, matrix: Array, shift: Array) -> tuple[Array, float, float]:
    """Displacements (node, 3), and how well the scout is met then, in its contrast and in the mean's own."""
    from scipy.linalg import cho_factor, cho_solve  # seldom wanted, and slow to import at the start of the plugin

    from engines.positioning.equations import bend_equations

    cloud, shares, stiffness = mean.bending, mean.lattice.pulled, mean.lattice.stiffness
    match, bend = _match_of(cloud), np.zeros((len(stiffness), 3))
    factor = None
    for _ in range(BENDS):
        values, known = image.at((cloud.places_mm + shares @ bend) @ matrix.T + shift)
        wanted, growth, weights, spread = match(values, known)
        weights = weights / (ALIKE * spread**2)
        slopes = cloud.slopes * growth[:, None]
        if factor is None:
            told = bend_equations(shares, slopes, weights, stiffness)
            factor = cho_factor(told.T, overwrite_a=True, check_finite=False)  # the upper half, as LAPACK has columns
        pull = shares.T @ (slopes * (weights * (wanted - values))[:, None]) - stiffness @ bend
        bend = bend + cho_solve(factor, pull.ravel().astype(np.float32), check_finite=False).reshape(-1, 3)
    values, known = image.at((cloud.places_mm + shares @ bend) @ matrix.T + shift)
    wanted, _, _, _ = match(values, known)
    inside = known > 0
    likeness, contrast = (_alike(values[inside], other[inside]) for other in (wanted, cloud.values))
    return mean.lattice.following @ bend, likeness, contrast


def _alike(one: Array, other: Array) -> float:
    """Correlation of values (n,); 0 of few, or where one does not vary."""
    if len(one) < FEWEST or not (one.std() > 0 and other.std() > 0):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])

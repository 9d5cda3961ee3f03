"""The mean head laid upon a scout: turned, shifted and sized, then stretched, then bent."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engines.positioning.grid import Sheet, evened
from engines.positioning.mean_head import Cloud, MeanHead
from engines.positioning.pose import Pose

__all__ = ["Laid", "laid"]

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
FEW: Final = 4  # points of which one is asked until the pose is nearly right
Array = NDArray[np.float64]
Response = Callable[[Array, Array], tuple[Array, Array]]


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
        bent = places_mm + self.mean.lattice.shares(places_mm) @ self.bend_mm
        return bent @ self.matrix.T + self.shift_mm

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
    image = _Image(sheet)
    if not image.shown(mean.brain, pose):
        return None
    few = mean.brain.thinned(FEW)
    matrix, shift = _moved(image, few, pose.scale * pose.turn, pose.shift_mm, TURNS, _similar)
    matrix, shift = _moved(image, mean.brain, matrix, shift, TURNS, _similar)
    left, sizes, right = np.linalg.svd(matrix)
    posed = Pose(left @ right, float(sizes.mean()), shift)
    matrix, shift = _stretched(image, mean.brain, matrix, shift, posed)
    bend, likeness, contrast = _bent(image, mean, matrix, shift)
    measured = float(image.at(posed.to_scanner(mean.brain.places_mm))[1].mean())
    return Laid(mean, posed, matrix, shift, bend, likeness, measured, contrast)


def _stretched(image: "_Image", cloud: Cloud, matrix: Array, shift: Array, posed: Pose) -> tuple[Array, Array]:
    """The affine step from a pose; what no body is stretched by is not believed, and the pose stays."""
    found, there = _moved(image, cloud, matrix, shift, STRETCHES, _affine)
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
        values = self.sheet.at(self.pixels, places_mm).astype(np.float64)
        known = self.sheet.holds(places_mm) if self.share is None else self.sheet.at(self.share, places_mm) > 0.5
        return values, known.astype(np.float64)

    def shown(self, cloud: Cloud, pose: Pose) -> bool:
        values, known = self.at(pose.to_scanner(cloud.places_mm))
        return known.sum() >= FEWEST and bool(values[known > 0].std() > 0)


class _Match:
    """What the scout would show of the mean's points, of any contrast."""

    def __init__(self, cloud: Cloud) -> None:
        level = cloud.values[:, None]
        self.powers = level ** np.arange(POWERS)
        centred = (cloud.places_mm - cloud.places_mm.mean(axis=0)) / RADIUS_MM
        orders = [axes for order in range(1, ORDER + 1) for axes in combinations_with_replacement(range(3), order)]
        self.shading = np.stack([np.prod(centred[:, list(axes)], axis=1) for axes in orders], axis=1)
        self.terms = np.concatenate((self.powers, level * self.shading), axis=1)

    def __call__(self, values: Array, known: Array) -> tuple[Array, Array, Array, float]:
        """Wanted values, how they grow with the mean's, weights, and the robust spread of what is left."""
        terms = self.terms * known[:, None]
        normal = terms.T @ self.terms
        found = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(len(normal)), terms.T @ values)
        wanted = self.terms @ found
        growth = (self.powers[:, :-1] * np.arange(1, POWERS)) @ found[1:POWERS] + self.shading @ found[POWERS:]
        off = np.abs(values - wanted)
        spread = 1.4826 * float(np.median(off[known > 0])) + 1e-12
        return wanted, growth, known * np.minimum(1.0, OUTLIER * spread / np.maximum(off, 1e-12)), spread


def _similar(arms: Array, slopes: Array) -> tuple[Array, Array]:
    """Response (n, 7) to turns, shifts and size, and the matrix (12, 7) of an affine step by these."""
    basis = np.zeros((12, 7))
    for axis, (one, other) in enumerate(((1, 2), (2, 0), (0, 1))):
        basis[3 * other + one, axis], basis[3 * one + other, axis] = 1.0, -1.0
    basis[9:, 3:6] = np.eye(3)
    basis[(0, 4, 8), 6] = 1.0
    return _affine(arms, slopes)[0] @ basis, basis


def _affine(arms: Array, slopes: Array) -> tuple[Array, Array]:
    return np.concatenate(((slopes[:, :, None] * arms[:, None]).reshape(-1, 9), slopes), axis=1), np.eye(12)


def _moved(
    image: _Image, cloud: Cloud, matrix: Array, shift: Array, steps: int, response: Response
) -> tuple[Array, Array]:
    match, middle = _Match(cloud), cloud.places_mm.mean(axis=0)
    arms = (cloud.places_mm - middle) / RADIUS_MM
    for _ in range(steps):
        values, known = image.at(cloud.places_mm @ matrix.T + shift)
        wanted, growth, weights, _ = match(values, known)
        design, basis = response(arms, cloud.slopes * growth[:, None])
        normal = design.T @ (design * weights[:, None])
        normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
        step = basis @ np.linalg.solve(normal, design.T @ ((wanted - values) * weights))
        stretch, along = step[:9].reshape(3, 3) / RADIUS_MM, step[9:]
        shift = matrix @ (along - stretch @ middle) + shift
        matrix = matrix @ (np.eye(3) + stretch)
        if np.abs(step).max() < ENOUGH:
            break
    return matrix, shift


def _bent(image: _Image, mean: MeanHead, matrix: Array, shift: Array) -> tuple[Array, float, float]:
    """Displacements (node, 3), and how well the scout is met then, in its contrast and in the mean's own."""
    from scipy.linalg import cho_factor, cho_solve  # seldom wanted, and slow to import at the start of the plugin

    cloud, shares, stiffness = mean.bending, mean.lattice.pulled, mean.lattice.stiffness
    match, bend, back = _Match(cloud), np.zeros((len(stiffness), 3)), shares.T.tocsr()
    factor = None
    for _ in range(BENDS):
        values, known = image.at((cloud.places_mm + shares @ bend) @ matrix.T + shift)
        wanted, growth, weights, spread = match(values, known)
        weights = weights / (ALIKE * spread**2)
        slopes = cloud.slopes * growth[:, None]
        if factor is None:
            factor = cho_factor(_normal(shares, back, slopes, weights, stiffness), lower=True, check_finite=False)
        pull = back @ (slopes * (weights * (wanted - values))[:, None]) - stiffness @ bend
        bend = bend + cho_solve(factor, pull.T.ravel(), check_finite=False).reshape(3, -1).T
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


def _normal(shares: csr_matrix, back: csr_matrix, slopes: Array, weights: Array, stiffness: Array) -> Array:
    """(3 node, 3 node): what the points tell of the nodes, and the stiffness; the lower half alone is whole."""
    size = len(stiffness)
    made = np.kron(np.eye(3), stiffness)
    for one in range(3):
        for other in range(one + 1):
            told = (back @ shares.multiply((weights * slopes[:, one] * slopes[:, other])[:, None]).tocsr()).toarray()
            made[one * size : (one + 1) * size, other * size : (other + 1) * size] += told
    return np.asarray(made, np.float64)

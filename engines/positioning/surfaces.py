"""How far a body reaches: the head by where there is signal, the brain by its template, and what a scout cuts off."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.grid import Sheet
from engines.positioning.laid import Laid
from engines.positioning.mean_head import MeanHead
from engines.positioning.pose import Pose
from engines.positioning.template import Template

__all__ = ["Outline", "beyond", "hull_of", "outermost"]

BLUR_MM: Final = 7.0  # grid for which the scout is smoothed before it is told from air
FAINT: Final = 0.15  # share of the brain's signal that still is body
NOISY: Final = 4.0  # standard deviations of the smoothed noise that air stays below
DIRECTIONS: Final = 300
PARTS: Final = 12  # of these: products that the cache holds
BEYOND_MM: Final = 15.0  # outside a scout up to which a skin is where the mean has it, with a plan's air to spare
NEAR_MM: Final = 16.0  # of the mean head: what lies farther away is no body, but noise, ringing or a fold
COARSE: Final = 3  # voxels, at whose distance it is asked where they lie in the mean head
OUTSIDE_MM: Final = 3.0  # by which a surface may reach beyond the scout
AIR_MM: Final = 24.0  # away from the mean head, where noise is measured
FEWEST: Final = 200  # voxels to measure it in


class Outline:
    """Where a body is told from air in a scout, near where its mean lies."""

    def __init__(self, sheet: Sheet, pose: Pose, template: Template, noise: float | None, lies: Laid | None) -> None:
        pixels, share = sheet.smooth(BLUR_MM)
        seen = sheet.known > 0
        mean, places = template.mean, template.mean.brain.places_mm
        brain = pose.to_scanner(places) if lies is None else lies.bent(places, mean.brain_shares)
        self.level = float(np.mean(sheet.at(pixels, brain)))
        outside_mm, height_mm = _beside(sheet, mean, pose if lies is None else lies)
        air = seen & (outside_mm > AIR_MM) & (height_mm > 0)
        self.noise = noise if noise else _noise(sheet.pixels[air])
        floor = FAINT * self.level
        if air.any():
            floor = max(floor, float(pixels[air].mean() + NOISY * pixels[air].std()))
        near = (outside_mm < NEAR_MM) | (height_mm < NEAR_MM)  # the neck goes on
        parts, _ = ndimage.label((pixels > floor) & (share > 0.3) & seen & near)
        sizes = np.bincount(parts.ravel())[1:]
        self.inside = parts == 1 + sizes.argmax() if len(sizes) else np.zeros(parts.shape, np.bool_)
        self._sheet = sheet
        self._skin_mm = (pose if lies is None else lies).to_scanner(_skin(template))

    def points_mm(self) -> NDArray[np.float64]:
        """The outermost points (n, 3), LPS mm."""
        edge = self.inside & ~ndimage.binary_erosion(self.inside, border_value=0)
        points = np.argwhere(edge)[:, ::-1] @ self._sheet.affine[:3, :3].T + self._sheet.affine[:3, 3]
        # What the scout cuts off is where the mean has it.
        hidden = self._skin_mm[_outside_mm(self._sheet, self._skin_mm) > 0]
        return outermost(np.concatenate([points, hidden]))

    def cut(self) -> bool:
        """Whether the mean's skin, as far as a scout has to show it, lies farther outside than it can be told."""
        return bool(_outside_mm(self._sheet, self._skin_mm).max(initial=0.0) > BEYOND_MM)


def outermost(points: NDArray[np.float64], count: int = DIRECTIONS, *, every: bool = False) -> NDArray[np.float64]:
    """Those of points (n, 3) that lie farthest out in one of `count` directions, each once, or for every direction."""
    if not len(points):
        return points
    z = 1 - (2 * np.arange(count) + 1) / count
    around, flat = np.pi * (3 - 5**0.5) * np.arange(count), np.sqrt(1 - z**2)
    outwards = np.column_stack((flat * np.cos(around), flat * np.sin(around), z)).astype(np.float32)
    columns = points.astype(np.float32).T.copy()
    farthest = np.concatenate([(some @ columns).argmax(axis=1) for some in np.array_split(outwards, PARTS)])
    return points[farthest if every else np.unique(farthest)]


def hull_of(template: Template, surface: str, pose: Pose, found_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The template's surface (n, 3) stretched so that it ends where the body's does, LPS mm; found_mm (name, 3)."""
    ends = template.ends[surface]
    mean, here = template.places_mm[list(ends)], pose.to_template(found_mm[list(ends)])
    points = template.hulls[surface]
    made = np.empty_like(points)
    for axis in range(3):
        pairs = sorted((float(mean[n, axis]), float(here[n, axis])) for n in (2 * axis, 2 * axis + 1))
        (low, new_low), (high, new_high) = pairs
        made[:, axis] = new_low + (points[:, axis] - low) * (new_high - new_low) / (high - low)
    return pose.to_scanner(made)


def beyond(sheet: Sheet, points_mm: NDArray[np.float64]) -> bool:
    """Whether any of some points lies outside a scout."""
    voxels = points_mm @ sheet.inverse[:3, :3].T + sheet.inverse[:3, 3]
    slack = 0.5 + OUTSIDE_MM / sheet.spacing_mm[::-1]
    size = np.array(sheet.known.shape[::-1]) - 1
    return bool(((voxels < -slack) | (voxels > size + slack)).any())


def _beside(sheet: Sheet, mean: MeanHead, lies: Pose | Laid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far every voxel (z, y, x) lies outside the mean head, and how far above its lower end, mm of the mean."""
    from engines.positioning.fields import values_at  # native code, as in grid.py

    size = np.array(sheet.known.shape)
    coarse = [np.linspace(0, end - 1, max(2, round(end / COARSE))) for end in size]
    voxels = np.stack(np.meshgrid(*coarse, indexing="ij"), -1)[..., ::-1]
    places = voxels.reshape(-1, 3) @ sheet.affine[:3, :3].T + sheet.affine[:3, 3]
    there = lies.unbent(places) if isinstance(lies, Laid) else lies.to_template(places)
    at = there @ mean.inverse[:3, :3].T + mean.inverse[:3, 3]
    # Beyond the mean's own grid the way there counts, too.
    within = np.clip(at, 0, np.array(mean.outside_mm.shape[::-1]) - 1)
    beyond_mm = np.linalg.norm((at - within) * np.linalg.norm(mean.affine[:3, :3], axis=0), axis=1)
    outside = values_at(mean.outside_mm, np.eye(4), within) + beyond_mm
    height = there[:, 2] - mean.affine[2, 3]
    shape = tuple(len(axis) for axis in coarse)
    far, up = (_enlarged(part.reshape(shape).astype(np.float32), coarse) for part in (outside, height))
    return far, up


def _enlarged(volume: NDArray[np.float32], coarse: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Every voxel (z, y, x) of what is known of some, whose numbers along each axis are given; linear in between."""
    for places in coarse:
        between = np.stack([np.interp(np.arange(places[-1] + 1), places, one) for one in np.eye(len(places))])
        volume = np.tensordot(volume, between.astype(np.float32), (0, 0))  # the next axis comes first
    return volume


@lru_cache(maxsize=4)
def _skin(template: Template) -> NDArray[np.float64]:
    """Outermost points (n, 3) of the mean head that a scout has to show, mm of the mean."""
    skin = template.mean.skin_mm
    return outermost(skin[skin[:, 2] > template.lowest_mm])


def _outside_mm(sheet: Sheet, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far points (n, 3) lie outside a scout, mm; 0 within."""
    voxels = points_mm @ sheet.inverse[:3, :3].T + sheet.inverse[:3, 3]
    size = np.array(sheet.known.shape[::-1]) - 1
    return np.asarray(np.linalg.norm((voxels - np.clip(voxels, -0.5, size + 0.5)) * sheet.spacing_mm[::-1], axis=1))


def _noise(air: NDArray[np.float32]) -> float | None:
    """Standard deviation of one channel's noise, of magnitudes where there is nothing else; None if none are left."""
    if len(air) < FEWEST or not air.any():
        return None
    return float(np.median(air) / np.sqrt(2 * np.log(2)))

"""How far a body reaches: the head by where there is signal, the brain by its template, and what a scout cuts off."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.positioning.grid import Sheet
from engines.positioning.pose import Pose
from engines.positioning.template import Template

__all__ = ["Outline", "beyond", "hull_of", "outermost"]

BLUR_MM: Final = 7.0  # grid for which the scout is smoothed before it is told from air
FAINT: Final = 0.15  # share of the brain's signal that still is body
NOISY: Final = 4.0  # standard deviations of the smoothed noise that air stays below
DIRECTIONS: Final = 300
TOUCHING: Final = 12  # voxels at an edge from which on a body goes on beyond it
OUTSIDE_MM: Final = 3.0  # by which a surface may reach beyond the scout
AIR_MM: Final = 20.0  # away from the body, where noise is measured
FEWEST: Final = 200  # voxels to measure it in


class Outline:
    """Where a body is told from air in a scout."""

    def __init__(self, sheet: Sheet, pose: Pose, template: Template, noise: float | None) -> None:
        pixels, share = sheet.smooth(BLUR_MM)
        seen = sheet.known > 0
        middle = pose.to_scanner(template.places_mm[list(template.landmarks())])
        self.level = float(np.median(sheet.at(pixels, middle)))
        air = self._air(sheet, pose, template, seen)
        self.noise = noise if noise else _noise(sheet.pixels[air & seen])
        floor = FAINT * self.level
        if air.any():
            floor = max(floor, float(pixels[air].mean() + NOISY * pixels[air].std()))
        parts, _ = ndimage.label((pixels > floor) & (share > 0.3) & seen)
        voxels = np.round(middle @ sheet.inverse[:3, :3].T + sheet.inverse[:3, 3]).astype(int)[:, ::-1]
        voxels = voxels[((voxels >= 0) & (voxels < parts.shape)).all(1)]
        found = parts[tuple(voxels.T)]
        found = found[found > 0]
        self.inside = parts == np.bincount(found).argmax() if len(found) else np.zeros(parts.shape, np.bool_)
        self._sheet, self._pose, self._lowest_mm = sheet, pose, template.lowest_mm

    @staticmethod
    def _air(sheet: Sheet, pose: Pose, template: Template, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Voxels (z, y, x) so far from the template's outermost points that there is no body of that size."""
        reach = max(float(np.linalg.norm(hull, axis=1).max()) for hull in template.hulls.values())
        reach_mm = pose.scale * reach + AIR_MM
        index = np.indices(seen.shape, np.float32)[::-1]
        places = np.tensordot(sheet.affine[:3, :3].astype(np.float32), index, 1)
        away = places + (sheet.affine[:3, 3] - pose.shift_mm).astype(np.float32)[:, None, None, None]
        up = np.tensordot(pose.turn[:, 2].astype(np.float32), away, 1)
        return seen & ((away**2).sum(0) > reach_mm**2) & (up > 0)

    def points_mm(self) -> NDArray[np.float64]:
        """The outermost points (n, 3), LPS mm."""
        edge = self.inside & ~ndimage.binary_erosion(self.inside, border_value=0)
        points = np.argwhere(edge)[:, ::-1] @ self._sheet.affine[:3, :3].T + self._sheet.affine[:3, 3]
        return outermost(points)

    def cut(self) -> bool:
        """Whether it goes on beyond an edge of the scout that is not that towards the rest of the body."""
        for axis in range(3):
            for end in (0, -1):
                face = np.take(self.inside, end, axis)
                at = np.argwhere(face)
                if len(at) < TOUCHING:
                    continue
                at = np.insert(at, axis, 0 if end == 0 else self.inside.shape[axis] - 1, axis=1)
                places = at[:, ::-1] @ self._sheet.affine[:3, :3].T + self._sheet.affine[:3, 3]
                if (self._pose.to_template(places)[:, 2] > self._lowest_mm).sum() >= TOUCHING:
                    return True
        return False


def outermost(points: NDArray[np.float64], count: int = DIRECTIONS, *, every: bool = False) -> NDArray[np.float64]:
    """Those of points (n, 3) that lie farthest out in one of `count` directions, each once, or for every direction."""
    if not len(points):
        return points
    z = 1 - (2 * np.arange(count) + 1) / count
    around, flat = np.pi * (3 - 5**0.5) * np.arange(count), np.sqrt(1 - z**2)
    outwards = np.column_stack((flat * np.cos(around), flat * np.sin(around), z)).astype(np.float32)
    farthest = (outwards @ points.astype(np.float32).T).argmax(axis=1)
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


def _noise(air: NDArray[np.float32]) -> float | None:
    """Standard deviation of one channel's noise, of magnitudes where there is nothing else; None if none are left."""
    if len(air) < FEWEST or not air.any():
        return None
    return float(np.median(air) / np.sqrt(2 * np.log(2)))

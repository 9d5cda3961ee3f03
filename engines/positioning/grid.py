"""What the networks are shown of a scout: brightness and what was measured, on a grid of fixed size."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.positioning.pose import Pose
from engines.positioning.scout import Scout

__all__ = [
    "FAR_MM",
    "FAR_SHAPE",
    "NEAR_MIDDLE_MM",
    "NEAR_MM",
    "NEAR_SHAPE",
    "Sheet",
    "evened",
    "far",
    "lattice",
    "near",
    "quiet",
]

FAR_MM: Final = 12.0
FAR_SHAPE: Final = (24, 24, 24)  # (z, y, x) about the middle of the scout: 288 mm
NEAR_MM: Final = 4.0
NEAR_SHAPE: Final = (28, 36, 28)  # (z, y, x) in the template: from cerebellum to eyes
NEAR_MIDDLE_MM: Final = (0.0, -12.0, -18.0)  # LPS
BLUR: Final = 0.4  # standard deviation by distance of the points it is asked at
THIN: Final = 0.05  # share of a neighbourhood that must have been measured
BRIGHT: Final = 98.0  # percentile of what was measured that is 1 then
MOST: Final = 3.0
SHADE_MM: Final = 30.0  # over which coils see more or less
DIM: Final = 0.05  # of the brightest neighbourhood that is divided by
DARK: Final = 0.25  # quantile of the pixels that is near the noise where more than half of a scout is air
FINEST_MM: Final = 3.0  # voxels that are smaller are averaged: the landmarks are found on 4 mm

LINES: Final = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))  # shapes of lines along the axes of a volume

Tensor = NDArray[np.float32]


class Sheet:
    """A scout prepared to be looked at: gaps filled with zeros, smoothed for either grid, once each."""

    def __init__(self, scout: Scout) -> None:
        pixels, affine = _averaged(scout.pixels, scout.affine)
        self.affine = affine
        self.known = np.isfinite(pixels).astype(np.float32)
        self.pixels = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        self.spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)[::-1]  # z, y, x
        self.inverse = np.asarray(np.linalg.inv(affine), np.float64)
        middle = (np.array(pixels.shape[::-1]) - 1) / 2
        self.middle_mm = affine[:3, :3] @ middle + affine[:3, 3]
        self._smooth: dict[tuple[float, bool], tuple[Tensor, Tensor]] = {}
        self._shade: dict[float, Tensor] = {}

    def smooth(self, spacing_mm: float, *, level: bool = False) -> tuple[Tensor, Tensor]:
        """Pixels and share of what was measured (z, y, x), blurred for points `spacing_mm` apart; shaded or level."""
        if (spacing_mm, False) not in self._smooth:
            self._smooth[spacing_mm, False] = self._smoothed(spacing_mm)
        if (spacing_mm, level) not in self._smooth:
            pixels, share = self._smooth[spacing_mm, False]
            self._smooth[spacing_mm, level] = pixels / self.shade(SHADE_MM), share
        return self._smooth[spacing_mm, level]

    def shade(self, around_mm: float) -> Tensor:
        """Mean brightness of what is not dark around each voxel, a Gaussian of that standard deviation."""
        if around_mm not in self._shade:
            self._shade[around_mm] = self._shaded(around_mm)
        return self._shade[around_mm]

    def _shaded(self, around_mm: float) -> Tensor:
        from engines.positioning.fields import smoothed

        lit = self.pixels > 0
        bright = (self.pixels > 0.5 * (self.pixels[lit].mean() if lit.any() else 0.0)).astype(np.float32)
        sigma = around_mm / self.spacing_mm
        total, count = (smoothed(part, sigma, 2.5) for part in (self.pixels * bright, bright))
        shade = total / np.maximum(count, 1e-3)
        return np.maximum(shade, max(DIM * float(shade.max()), 1e-20))

    def _smoothed(self, spacing_mm: float) -> tuple[Tensor, Tensor]:
        from engines.positioning.fields import smoothed

        sigma = BLUR * np.sqrt(np.maximum(spacing_mm**2 - self.spacing_mm**2, 0)) / self.spacing_mm
        share, pixels = self._share(sigma), smoothed(self.pixels, sigma, 3.0)
        return np.asarray(pixels / np.maximum(share, THIN), np.float32), share

    def _share(self, sigma: NDArray[np.float64]) -> Tensor:
        """What of each neighbourhood was measured; where all was, a product of three lines."""
        from engines.positioning.fields import smoothed

        if not self.known.all():
            return smoothed(self.known, sigma, 3.0)
        ones = [np.ones(size, np.float32).reshape(shape) for size, shape in zip(self.known.shape, LINES, strict=True)]
        z, y, x = (smoothed(line, sigma * axis, 3.0) for line, axis in zip(ones, np.eye(3), strict=True))
        return z * y * x

    def at(self, pixels: Tensor, places_mm: NDArray[np.float64], outside: float = 0.0) -> Tensor:
        """Values at places (..., 3), LPS mm, by trilinear interpolation."""
        from engines.positioning.fields import values_at  # native code, half a second to import; so below

        return values_at(pixels, self.inverse, places_mm.reshape(-1, 3), outside).reshape(places_mm.shape[:-1])


def evened(sheet: Sheet, around_mm: float, width_mm: float) -> tuple[Tensor, Tensor]:
    """Pixels by the mean brightness around them, blurred to a full width at half maximum, and the share measured."""
    from engines.positioning.fields import smoothed

    sigma = width_mm / 2.355 / sheet.spacing_mm
    share = sheet.known if sheet.known.all() else smoothed(sheet.known, sigma, 3.0, "nearest")
    pixels = smoothed(sheet.pixels / sheet.shade(around_mm), sigma, 3.0, "nearest")
    return np.asarray(pixels / np.maximum(share, THIN), np.float32), share


def quiet(scout: Scout) -> Scout:
    """The scout less what noise adds to its magnitudes, taken to be as in the darker quarter, which is air."""
    dark = np.float32(np.nanquantile(scout.pixels, DARK))
    return replace(scout, pixels=np.sqrt(np.maximum(scout.pixels**2 - 2 * dark**2, 0)))


def far(sheet: Sheet, *, level: bool = False) -> Tensor:
    """The whole scout (1, 2, *FAR_SHAPE), axes along S, P, L about its middle; with the coils' shading or without."""
    return _shown(sheet, FAR_MM, lattice(FAR_SHAPE, FAR_MM) + sheet.middle_mm, level=level)


def near(sheet: Sheet, pose: Pose, *, level: bool = False) -> Tensor:
    """The middle of the head (1, 2, *NEAR_SHAPE) as the template lies; with the coils' shading or without."""
    places_mm = lattice(NEAR_SHAPE, NEAR_MM) + np.array(NEAR_MIDDLE_MM)
    return _shown(sheet, NEAR_MM, pose.to_scanner(places_mm), level=level)


def lattice(shape: tuple[int, int, int], spacing_mm: float) -> NDArray[np.float64]:
    """Places (z, y, x, 3) of a grid about its middle, LPS mm."""
    z, y, x = (spacing_mm * (np.arange(size) - (size - 1) / 2) for size in shape)
    return np.stack(np.broadcast_arrays(x, y[:, None], z[:, None, None]), -1)


def _shown(sheet: Sheet, spacing_mm: float, places_mm: NDArray[np.float64], *, level: bool) -> Tensor:
    pixels, share = sheet.smooth(spacing_mm, level=level)
    known = np.clip(sheet.at(share, places_mm), 0, 1)
    seen = sheet.at(pixels, places_mm) * (known > THIN)
    measured = seen[known > THIN]
    bright = float(np.percentile(measured, BRIGHT)) if measured.size else 0.0
    return np.stack([np.minimum(seen / np.float32(bright or 1.0), MOST), known])[None].astype(np.float32)


def _averaged(pixels: NDArray[np.float32], affine: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Blocks of voxels averaged where they are small."""
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    blocks = [
        max(1, min(round(FINEST_MM / mm), size)) for mm, size in zip(spacing_mm.tolist(), pixels.shape, strict=True)
    ]
    if blocks == [1, 1, 1]:
        return pixels, affine
    sizes = [size // block for size, block in zip(pixels.shape, blocks, strict=True)]
    cut = pixels[tuple(slice(0, size * block) for size, block in zip(sizes, blocks, strict=True))]
    shape = [number for pair in zip(sizes, blocks, strict=True) for number in pair]
    steps = np.array(blocks[::-1])
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ ((steps - 1) / 2)
    moved[:3, :3] *= steps
    return cut.reshape(shape).mean((1, 3, 5)), moved

"""What a cylinder phantom tells: size, uniformity, ghosting and signal by noise, as the ACR has them measured.

American College of Radiology, MRI Quality Control Manual 2015, and Phantom Test Guidance for the large phantom.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

__all__ = ["Disc", "find_disc", "ghosting_percent", "snr", "span_mm", "uniformity_percent"]

LARGE_MM2: Final = 20_000.0  # region of signal: 200 cm2
SMALL_MM2: Final = 100.0  # region whose mean is looked for at its least and most: 1 cm2
SIDE_MM: Final = (80.0, 13.0)  # regions of air, long and wide, at the middle of each side: 10 cm2
MARGIN_MM: Final = 4.0  # between them and the phantom, or the image's border
RAYLEIGH: Final = float(np.sqrt(2 - np.pi / 2))  # standard deviation of magnitudes of noise by that of a real part


@dataclass(frozen=True, slots=True)
class Disc:
    """Where the phantom lies in an image: middle and half widths in pixels (y, x), and its brightness."""

    middle: tuple[float, float]
    half: tuple[float, float]
    level: float


def find_disc(pixels: NDArray[np.float32]) -> Disc | None:
    """Find the one bright object of an image (y, x) by its half level; None where there is none."""
    bright = float(np.percentile(pixels, 90))
    mask = pixels > bright / 2
    rows, columns = (np.flatnonzero(mask.sum(axis=axis) > 0.05 * mask.shape[axis]) for axis in (1, 0))
    if bright <= 0 or len(rows) < 8 or len(columns) < 8:
        return None
    middle = (float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2)
    half = (float(rows[-1] - rows[0] + 1) / 2, float(columns[-1] - columns[0] + 1) / 2)
    return Disc(middle, half, float(np.median(pixels[mask])))


def span_mm(pixels: NDArray[np.float32], disc: Disc, pixel_mm: tuple[float, float], angle_deg: float = 0.0) -> float:
    """Width through the middle at an angle from the columns' direction, between the half levels of its two edges.

    Each edge is half of what the profile has just inside it, so that neither shading nor noise moves it.
    """
    step = min(pixel_mm) / 8
    reach = 1.3 * max(disc.half[0] * pixel_mm[0], disc.half[1] * pixel_mm[1])
    along = np.arange(-reach, reach, step)
    across = np.linspace(-2, 2, 5)
    angle = np.deg2rad(angle_deg)
    y = disc.middle[0] + (along[:, None] * np.sin(angle) + across * np.cos(angle)) / pixel_mm[0]
    x = disc.middle[1] + (along[:, None] * np.cos(angle) - across * np.sin(angle)) / pixel_mm[1]
    profile = np.median(map_coordinates(pixels, (y, x), order=1, output=np.float32), axis=1)
    outer = np.flatnonzero(profile > 0.3 * disc.level)
    if len(outer) < 16:
        return 0.0
    depth = round(8.0 / step)
    edges = []
    for line in (profile, profile[::-1]):
        first = int(np.flatnonzero(line > 0.3 * disc.level)[0])
        level = float(np.median(line[first + depth // 2 : first + depth])) / 2
        place = int(np.flatnonzero(line >= level)[0])
        below, above = float(line[place - 1]), float(line[place])
        edges.append(place - (above - level) / max(above - below, 1e-12))
    return float(len(profile) - 1 - edges[1] - edges[0]) * step


def uniformity_percent(pixels: NDArray[np.float32], disc: Disc, pixel_mm: tuple[float, float]) -> float:
    """Percent integral uniformity: 100 (1 - (most - least) / (most + least)) of means over 1 cm2 within 200 cm2."""
    small = _circle(pixel_mm, SMALL_MM2)
    from scipy.signal import fftconvolve  # a third of a second, which the start of the plugin should not wait for

    means = fftconvolve(pixels, small / small.sum(), mode="same")
    room = float(np.sqrt(LARGE_MM2 / np.pi)) - float(np.sqrt(SMALL_MM2 / np.pi))
    inside = means[_away_mm(pixels.shape, disc, pixel_mm) <= room]
    least, most = float(inside.min()), float(inside.max())
    return 100 * (1 - (most - least) / (most + least))


def ghosting_percent(pixels: NDArray[np.float32], disc: Disc, pixel_mm: tuple[float, float]) -> float | None:
    """Percent signal ghosting: 100 |(top + bottom) - (left + right)| / (2 signal); None where a side has no room."""
    sides = _sides(pixels, disc, pixel_mm)
    if sides is None:
        return None
    top, bottom, left, right = (float(part.mean()) for part in sides)
    signal = float(pixels[_away_mm(pixels.shape, disc, pixel_mm) <= np.sqrt(LARGE_MM2 / np.pi)].mean())
    return 100 * abs((top + bottom) - (left + right)) / (2 * signal)


def snr(pixels: NDArray[np.float32], disc: Disc, pixel_mm: tuple[float, float]) -> float | None:
    """Mean of the 200 cm2 by the noise of the air left and right of it, where no ghost falls (NEMA MS 1)."""
    sides = _sides(pixels, disc, pixel_mm)
    spread = 0.0 if sides is None else float(np.std(np.concatenate([part.ravel() for part in sides[2:]])))
    signal = float(pixels[_away_mm(pixels.shape, disc, pixel_mm) <= np.sqrt(LARGE_MM2 / np.pi)].mean())
    return signal * RAYLEIGH / spread if spread > 0 else None


def _sides(
    pixels: NDArray[np.float32], disc: Disc, pixel_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], ...] | None:
    """Air above, below, left and right of the phantom; None where one is narrower than half of what it should be."""
    parts = []
    for axis in (0, 1):
        turned = pixels if axis == 0 else pixels.T
        middle, other = disc.middle[axis], disc.middle[1 - axis]
        mm, other_mm = pixel_mm[axis], pixel_mm[1 - axis]
        margin, wide, long = MARGIN_MM / mm, SIDE_MM[1] / mm, SIDE_MM[0] / other_mm / 2
        inner = disc.half[axis] + margin
        columns = slice(max(round(other - long), 0), round(other + long))
        for edge, sign in ((middle - inner, -1), (middle + inner, 1)):
            room = (edge if sign < 0 else len(turned) - 1 - edge) - margin
            if room < wide / 2:
                return None
            far = edge + sign * min(wide, room)
            low, high = sorted((round(edge), round(far)))
            parts.append(turned[low : high + 1, columns])
    return tuple(parts)


def _away_mm(shape: tuple[int, ...], disc: Disc, pixel_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Distance of each pixel (y, x) from the middle of the phantom."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    away: NDArray[np.float64] = np.hypot((y - disc.middle[0]) * pixel_mm[0], (x - disc.middle[1]) * pixel_mm[1])
    return away


def _circle(pixel_mm: tuple[float, float], area_mm2: float) -> NDArray[np.float32]:
    radius = float(np.sqrt(area_mm2 / np.pi))
    count = [2 * int(radius / mm) + 1 for mm in pixel_mm]
    y, x = (np.arange(n) - n // 2 for n in count)
    inside = np.hypot(y[:, None] * pixel_mm[0], x[None] * pixel_mm[1]) <= radius
    return inside.astype(np.float32)

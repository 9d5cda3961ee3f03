"""One scan of one head: coils, lines in the order of their acquisition, noise; and the image the plugin makes of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.calibration import MapMethod, learn
from engines.linear.combine import rss
from engines.linear.fourier import to_kspace
from engines.linear.frame import make_image
from trt_build.artefacts.heads import AT_REST, HeadSlice, Pose, draw_slice
from trt_build.data.coils import random_coils
from trt_build.data.scan import noise
from trt_build.data.scene import Grid
from trt_build.data.volumes import Head

__all__ = ["CALIBRATION", "SHAPES", "Scan", "block_of", "draw_scan", "grid_of", "lines_of", "picture"]

Complex = NDArray[np.complex64]
SHAPES: Final = ((128, 128), (160, 128), (128, 160), (192, 192), (256, 208), (256, 256))  # lines, columns
OFTEN: Final = (0.36, 0.12, 0.12, 0.2, 0.08, 0.12)
CALIBRATION: Final = 24  # lines in the middle of k-space
TISSUE: Final = 0.15  # share of the brightest signal above which a pixel counts as tissue
ESPIRIT: Final = 0.3  # share of scans whose maps are ESPIRiT's
SNR: Final = (14.0, 100.0)
COILS: Final = (6, 12)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What is acquired when nothing goes wrong; noise has E|n|^2 = 1 a sample."""

    slice: HeadSlice
    coils: Complex  # (coil, line, x)
    gain: float  # from the signal of the head to that in units of the noise
    snr: float
    acquired: NDArray[np.bool_]  # (line,)
    order: NDArray[np.intp]  # (readout,) acquired lines as they come
    noise: Complex  # (coil, line, x)
    maps: MapMethod = "walsh"

    @property
    def grid(self) -> Grid:
        """The matrix."""
        return self.slice.grid

    def signal(self, pose: Pose = AT_REST) -> Complex:
        """Hybrid space (coil, line, x) without noise, all lines."""
        return to_kspace(self.coils * (self.slice.image(pose) * np.float32(self.gain)), 1)


def grid_of(chance: np.random.Generator) -> Grid:
    """Draw a matrix; pixels are nearly square."""
    lines, columns = SHAPES[chance.choice(len(SHAPES), p=OFTEN)]
    pixel_mm = chance.uniform(225, 265) / max(lines, columns)
    return Grid(lines, columns, (pixel_mm, pixel_mm * chance.uniform(0.95, 1.05)))


def draw_scan(head: Head, chance: np.random.Generator) -> Scan:
    """Draw a scan of a head: fully sampled, every R-th line with calibration lines among them, or a bare grid."""
    grid = grid_of(chance)
    slice_ = draw_slice(head, grid, chance)
    coils = random_coils(chance, grid, int(chance.integers(COILS[0], COILS[1] + 1)))
    seen = np.abs(slice_.image()) * rss(coils)
    tissue = seen[seen > TISSUE * np.percentile(seen, 99.5)]
    snr = float(np.exp(chance.uniform(*np.log(SNR))))
    gain = snr / max(float(tissue.mean()) if tissue.size else 0.0, 1e-9)
    kind = chance.choice(("full", "embedded", "grid"), p=(0.5, 0.35, 0.15))
    acquired = lines_of(chance, grid.lines, str(kind))
    order = _order(chance, acquired)
    maps: MapMethod = "espirit" if chance.spawn(1)[0].random() < ESPIRIT else "walsh"
    return Scan(slice_, coils, gain, snr, acquired, order, noise(chance, coils.shape), maps)


def lines_of(chance: np.random.Generator, lines: int, kind: str) -> NDArray[np.bool_]:
    """Acquired lines (line,) of a scan: "full", "embedded" or "grid"."""
    acquired = np.zeros(lines, np.bool_)
    divisors = [r for r in (2, 3, 4) if lines % r == 0]
    step = 1 if kind == "full" else int(chance.choice(divisors)) if kind == "grid" else int(chance.integers(2, 5))
    acquired[int(chance.integers(step)) :: step] = True
    if kind == "embedded":
        acquired[block_of(lines)] = True
    return acquired


def block_of(lines: int) -> slice:
    """Where the calibration lines lie."""
    return slice(lines // 2 - CALIBRATION // 2, lines // 2 + CALIBRATION // 2)


def _order(chance: np.random.Generator, acquired: NDArray[np.bool_]) -> NDArray[np.intp]:
    """One line after the other (two in three scans), interleaved shots, or from the middle outwards."""
    rows = np.flatnonzero(acquired)
    drawn = chance.random()
    if drawn < 0.65:
        return rows
    if drawn < 0.85:
        shots = int(chance.integers(2, 9))
        return np.concatenate([rows[shot::shots] for shot in range(shots)])
    return rows[np.argsort(np.abs(rows - len(acquired) // 2), kind="stable")]


def picture(scan: Scan, hybrid: Complex, taught: Complex | None = None) -> Complex:
    """Image (y, x) that the plugin makes of hybrid space (coil, line, x); `taught` are other calibration lines."""
    block = block_of(scan.grid.lines)
    lines = hybrid[:, block] if taught is None else taught
    frame = hybrid * scan.acquired[:, None]
    calibration = learn(lines, block.start, scan.acquired, scan.maps, 0.001)
    return make_image(frame, scan.acquired, calibration).pixels

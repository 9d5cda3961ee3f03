"""Scouts of a drawn head as they are acquired and reconstructed: 3-D at R = 4, and three planes of five slices."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.linear.errors import LinearError
from engines.linear.fourier import to_kspace
from engines.linear.frame import make_image
from engines.linear.slab import flatten, own_slab, unflatten
from engines.positioning.gather import Slab, gathered
from engines.positioning.scout import Scout
from hw_sim.coils import head_array
from protocols.geometry import Grid as Place
from trt_build.data.errors import DataError
from trt_build.landmarks.drawn import Drawn, Grid
from trt_build.landmarks.scouts import cropped

__all__ = ["LOCALIZER", "SLAB", "equivalent", "localizer", "slab", "three_planes"]

COILS: Final = 16
KEPT: Final = 8  # virtual coils, as protocols/exams/scout_3d.toml has it
LATTICE: Final = 14  # points each way at which sensitivities are computed
ACCELERATION: Final = 4
CALIBRATION: Final = 16
FOLDS: Final = 0.03  # of the image that a fold leaves at most
SLICES: Final = 5
STEP_MM: Final = 20.0
MIDDLE: Final = np.zeros(3)
SLAB: Final = Grid((64, 64, 56), np.full(3, 4.5), MIDDLE)  # 288 x 288 x 252 mm, as scout_3d.toml has it
LOCALIZER: Final = Grid((92, 92, 92), np.full(3, 3.0), MIDDLE)  # 276 mm, slices of 6 mm


@dataclass(frozen=True, slots=True, eq=False)
class _Coils:
    maps: NDArray[np.complex64]  # (coil, z, y, x), noise of the channels is white
    sum: NDArray[np.float32]  # (z, y, x) root of the summed squares


def slab(drawn: Drawn, snr: float, chance: np.random.Generator) -> Scout:
    """The 3-D scout: eight whitened, compressed channels, every fourth line and 16 calibration lines, exact columns.

    Lines run along P, partitions along L, the readout along S. `snr` is the brain's mean signal by the noise that this
    number of lines leaves, the g-factor not counted. Raises DataError where it cannot be reconstructed.
    """
    grid, coils = SLAB, _coils()
    image = cropped(drawn.image, grid.shape)
    brain = ndimage.zoom(drawn.brain, np.array(grid.shape) / drawn.brain.shape, order=1) > 0.5
    acquired = np.zeros(grid.shape[1], np.bool_)
    acquired[::ACCELERATION] = True
    middle = grid.shape[1] // 2
    acquired[middle - CALIBRATION // 2 : middle + CALIBRATION // 2] = True
    level = float((image * coils.sum)[brain].mean())
    image = image * np.float32(snr / level / np.sqrt(acquired.mean()))
    hybrid = (coils.maps * image).transpose(0, 3, 2, 1)  # coil, e2 along L, e1 along P, readout along S
    for axis in (1, 2):
        hybrid = to_kspace(np.ascontiguousarray(hybrid), axis)
    noise = chance.standard_normal((2, *hybrid.shape), np.float32) / np.float32(np.sqrt(2))
    hybrid = (hybrid + noise[0] + 1j * noise[1]).astype(np.complex64)
    hybrid[:, :, ~acquired] = 0
    came = np.broadcast_to(acquired, hybrid.shape[1:3])
    try:
        flat, lines, _ = flatten(hybrid, came)
        made = make_image(flat, lines, own_slab(hybrid, came), "exact")
    except LinearError as error:
        raise DataError(f"a scout cannot be reconstructed: {error}") from error
    pixels = np.abs(unflatten(made.pixels, grid.shape[2])).transpose(2, 1, 0)
    return _scout(np.ascontiguousarray(pixels), grid.affine(), None)


def equivalent(drawn: Drawn, snr: float, chance: np.random.Generator) -> Scout:
    """What `slab` makes of a head at a twentieth of the cost: the array's shading, even noise, faint folds.

    Folds of R = 4 lie a quarter of the field of view apart along P, up to 3 % each; the noise is the brain's mean
    signal by `snr` in either channel of the complex image.
    """
    grid = SLAB
    image = cropped(drawn.image, grid.shape) * _coils().sum
    brain = ndimage.zoom(drawn.brain, np.array(grid.shape) / drawn.brain.shape, order=0) > 0.5
    sigma = np.float32(float(image[brain].mean()) / snr)
    parts = (np.roll(image, number * grid.shape[1] // ACCELERATION, 1) for number in range(1, ACCELERATION))
    folded = image + sum(np.float32(chance.uniform(0, FOLDS)) * part for part in parts)
    noise = chance.standard_normal((2, *grid.shape), np.float32) * sigma
    return _scout(np.hypot(folded + noise[0], noise[1]), grid.affine(), None)


def localizer(drawn: Drawn, snr: float, chance: np.random.Generator) -> Scout:
    """Three planes through the isocentre, brought onto one grid."""
    pixels, affine = gathered(three_planes(drawn, snr, chance))
    return _scout(pixels, affine, None)


def three_planes(drawn: Drawn, snr: float, chance: np.random.Generator) -> list[Slab]:
    """Three planes through the isocentre, five slices of 6 mm each, 20 mm apart, pixels of 3 mm, sampled fully.

    What one optimally combined channel sees: noise is added to the image. `snr` is the brain's mean signal by it.
    """
    grid = LOCALIZER
    image = cropped(drawn.image, grid.shape) * ndimage.zoom(_coils().sum, np.array(grid.shape) / SLAB.shape, order=1)
    brain = ndimage.zoom(drawn.brain, np.array(grid.shape) / drawn.brain.shape, order=1) > 0.5
    sigma = np.float32(float(image[brain].mean()) / snr)
    slabs = []
    planes = {
        0: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        1: ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
        2: ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    }
    for axis, (read, phase, slice_) in planes.items():
        for number in range(-(SLICES // 2), SLICES // 2 + 1):
            at = grid.shape[axis] // 2 + round(number * STEP_MM / 3.0)
            pair = np.take(image, (at - 1, at), axis).mean(axis)
            noisy = np.hypot(
                pair + sigma * chance.standard_normal(pair.shape), sigma * chance.standard_normal(pair.shape)
            )
            position = np.zeros(3)
            position[2 - axis] = (at - grid.shape[axis] // 2 - 0.5) * 3.0
            x, y, z = position.tolist()
            place = Place((92, 92, 1), (276.0, 276.0, 6.0), (x, y, z), read, phase, slice_)
            slabs.append((noisy[None].astype(np.float32), place))
    return slabs


def _scout(pixels: NDArray[np.float32], affine: NDArray[np.float64], noise: float | None) -> Scout:
    return Scout(pixels.astype(np.float32), affine, noise, "HFS", (0.0, 0.0, 0.0), "simulated", 0.0)


@lru_cache(maxsize=1)
def _coils() -> _Coils:
    """Sensitivities of the simulator's array in the slab, whitened and compressed by what they see there."""
    array = head_array(COILS)
    lines = [np.linspace(axis[0], axis[-1], LATTICE) for axis in SLAB.axes_mm()]
    places = np.stack(np.meshgrid(lines[2], lines[1], lines[0], indexing="ij")[::-1], -1)
    field = array.field(places).reshape(COILS, -1)
    white = np.linalg.inv(np.linalg.cholesky(array.covariance)) @ field
    inside = np.linalg.norm(places.reshape(-1, 3), axis=1) < 110.0
    left, _, _ = np.linalg.svd(white[:, inside], full_matrices=False)
    kept = (left[:, :KEPT].conj().T @ white).reshape(KEPT, LATTICE, LATTICE, LATTICE)
    share = np.array(SLAB.shape) / LATTICE
    maps = np.stack(
        [ndimage.zoom(one.real, share, order=3) + 1j * ndimage.zoom(one.imag, share, order=3) for one in kept]
    ).astype(np.complex64)
    return _Coils(maps, np.sqrt((np.abs(maps) ** 2).sum(0)))

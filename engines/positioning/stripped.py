"""The brain alone, evenly bright, as it was shown when the reference poses were found, and how it is turned."""

import io
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engines.halves import each
from engines.positioning.grid import Sheet
from engines.positioning.laid import Laid
from engines.positioning.mean_head import MeanHead

__all__ = ["Layers", "Part", "Stripper", "packed_stripper", "stripper_of"]

RARE: Final = 0.05  # share of brain from whose neighbours on a voxel may be brain
SHADE_MM: Final = 15.0  # about which the scout is as bright as the mean head
WIDE_MM: Final = 8.0  # about which a voxel's surroundings are seen beside its neighbours
DIM: Final = 0.02  # of the brightest voxel that is divided by at least
MOST: Final = 2.5  # brightness of an even scout
LEVELS: Final = 250.0  # of a byte that brightness 1 takes
RADIUS_MM: Final = 100.0
EVERY: Final = 6  # points of which one is compared, with every brain others
BINS: Final = 32  # of brightness
PARTS: Final = 8  # of the voxels, each of which the caches hold
STEPS: Final = 12
ENOUGH: Final = 0.02  # mm, as the outermost point moves
Array = NDArray[np.float64]
Tensor = NDArray[np.float32]
Layers = tuple[tuple[Tensor, Tensor], ...]  # matrix (in, out) and constant (out,) of each, rectified but for the last


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Points, as a pose has them, and their brightness; 0 where there is no brain."""

    places_mm: Array  # (n, 3)
    values: Array  # (n,)


class Stripper:
    """A small network that sees at each voxel of the mean head what of a scout is brain, and the brains it is held to.

    `sought` (brain, z, y, x) are brains as the reference poses have them: no two say the same of where a brain lies.
    """

    def __init__(self, mean: MeanHead, sought: Tensor, layers: Layers) -> None:
        self.mean, self.sought, self.layers = mean, sought, layers
        self.chosen = ndimage.binary_dilation(mean.share > RARE)
        around = ndimage.binary_dilation(self.chosen, np.ones((3, 3, 3)))
        self.around = np.flatnonzero(around)
        self.inner = self.chosen.ravel()[self.around]
        self.places_mm = np.argwhere(around)[:, ::-1] @ mean.affine[:3, :3].T + mean.affine[:3, 3]
        self.shares = mean.lattice.shares(self.places_mm)
        corners = np.argwhere(self.chosen)[:, None] + np.array(list(product((-1, 0, 1), repeat=3)))
        corners = np.clip(corners, 0, np.array(mean.values.shape) - 1)
        self.beside = np.ravel_multi_index(tuple(np.moveaxis(corners, 2, 0)), mean.values.shape)
        self.spacing_mm = np.linalg.norm(mean.affine[:3, :3], axis=0)[::-1]
        self.expected = np.maximum(self._wide(mean.share * mean.values**2, SHADE_MM), 1e-3)
        out, back, up = self.places_mm[self.inner].T / RADIUS_MM
        beside = (part.ravel()[self.beside] for part in (mean.share, mean.values))
        wide = self._wide(mean.share, WIDE_MM)[self.chosen]
        self.known = np.column_stack((*beside, wide, out**2, back, up)).astype(np.float32)
        if layers:
            matrix, constant = layers[0]
            # What of the first layer depends on no scout.
            self.known_first = self.known @ matrix[-self.known.shape[1] :] + constant
        self.fields = tuple(self._fields(brain) for brain in sought)

    def moved(self, lies: Laid) -> Array:
        """Where the voxels that may be brain and those around them lie in the scanner (n, 3)."""
        return lies.bent(self.places_mm, self.shares)

    def shown(self, sheet: Sheet, lies: Laid) -> Tensor:
        """What the network is shown of a scout (inner, feature), beside what is `known` of each voxel."""
        even, wide = self._even(sheet, lies)
        return self._features(even, wide, slice(None))

    def _even(self, sheet: Sheet, lies: Laid) -> tuple[Tensor, Tensor]:
        """A scout (z, y, x) without shading, and its surroundings (inner, 2) in brain and anywhere."""
        share = self.mean.share
        seen = np.zeros(share.shape, np.float32)
        seen.ravel()[self.around] = sheet.at(sheet.pixels, self.moved(lies))
        shade = self._wide(seen * share * self.mean.values, SHADE_MM) / self.expected
        even = np.minimum(seen / np.maximum(shade, max(DIM * float(seen.max()), 1e-20)), np.float32(MOST))
        return even, np.column_stack([self._wide(part, WIDE_MM)[self.chosen] for part in (even * share, even)])

    def _features(self, even: Tensor, wide: Tensor, some: slice) -> Tensor:
        return np.column_stack((even.ravel()[self.beside[some]], wide[some]))

    def part(self, sheet: Sheet, lies: Laid, helpers: Executor | None = None) -> Part:
        """The brain of a scout upon which the mean head lies, in its pose; one of `helpers` helps, if one is free."""
        even, wide = self._even(sheet, lies)
        ends = [len(wide) * n // PARTS for n in range(PARTS + 1)]
        parts = [slice(*pair) for pair in pairwise(ends)]
        made = each(lambda some: self._brightness(self._features(even, wide, some), some), parts, helpers)
        return Part(lies.posed.to_template(self.moved(lies)), self._placed(np.concatenate(made)))

    def values(self, shown: Tensor) -> Array:
        """Brightness (n,) of the brain alone that the network makes of what it is shown."""
        return self._placed(self._brightness(shown, slice(None)))

    def _brightness(self, shown: Tensor, some: slice) -> Tensor:
        matrix, _ = self.layers[0]
        made = shown @ matrix[: shown.shape[1]] + self.known_first[some]
        for matrix, constant in self.layers[1:]:
            made = np.maximum(made, 0) @ matrix + constant
        return np.maximum(made[:, 0], 0)

    def _placed(self, inner: Tensor) -> Array:
        values = np.zeros(len(self.places_mm))
        values[self.inner] = inner
        return values

    def turn(self, part: Part, helpers: Executor | None = None) -> Array:
        """Rotation (3, 3) that takes the brains that are sought to a part: the mean over them."""
        count = len(self.fields)
        some = [slice(n * EVERY // count, None, EVERY) for n in range(count)]
        turns = each(lambda n: self._turn(self.fields[n], part, some[n]), range(count), helpers)
        left, _, right = np.linalg.svd(np.sum(turns, axis=0))
        return np.asarray(left @ right, np.float64)

    def _turn(self, fields: Tensor, part: Part, some: slice) -> Array:
        """Rotation (3, 3) of the similarity of most mutual information, from one brain to some points of a part.

        Fisher's scoring: each point pulls as the logarithm of the joint histogram rises at its two brightnesses. A step
        that does not add information is halved.
        """
        from engines.positioning.fields import values_at  # native code, as in grid.py

        places_mm, values = part.places_mm[some], part.values[some]
        own = _bins(values / max(float(np.percentile(values, 99.0)), 1e-9))
        dark = self.chosen.size // EVERY - len(own)
        middle = places_mm.mean(axis=0)
        matrix, shift = np.eye(3), np.zeros(3)
        best, kept, step = -np.inf, (matrix, shift), np.zeros(7)
        for _ in range(STEPS):
            arms = (places_mm - middle) @ matrix.T / RADIUS_MM
            there = values_at(fields, self.mean.inverse, RADIUS_MM * arms + middle + shift).T.astype(np.float64)
            pull, told = _rise(own, _bins(there[0]), dark)
            if told > best:
                best, kept = told, (matrix, shift)
                step = _step(arms, there[1:], pull)
            else:
                step = step / 2
            if np.abs(step).max() < ENOUGH:
                break
            matrix, shift = _moved(*kept, step)
        left, _, right = np.linalg.svd(kept[0])
        return np.asarray((left @ right).T, np.float64)

    def _fields(self, brain: Tensor) -> Tensor:
        """Brightness, 0 to 1, and its three slopes per mm (z, y, x, 4)."""
        level = brain / max(float(brain.max()), 1e-9)
        z, y, x = np.gradient(level)
        slopes = np.tensordot(np.stack((x, y, z), -1), self.mean.inverse[:3, :3], 1)
        return np.concatenate((level[..., None], slopes), axis=-1, dtype=np.float32)

    def _wide(self, volume: Tensor, sigma_mm: float) -> Tensor:
        from engines.positioning.fields import smoothed

        return smoothed(volume, sigma_mm / self.spacing_mm, 2.5, "mirrored")


def packed_stripper(stripper: Stripper) -> bytes:
    """The file of a stripper, from which stripper_of makes the same to a byte of brightness."""
    file = io.BytesIO()
    named = {
        f"{kind}{number}": part
        for number, layer in enumerate(stripper.layers)
        for kind, part in zip(("matrix", "constant"), layer, strict=True)
    }
    sought = np.clip(np.round(stripper.sought * LEVELS), 0, 255).astype(np.uint8)
    np.savez_compressed(file, allow_pickle=False, sought=sought, **named)
    return file.getvalue()


@lru_cache(maxsize=4)
def stripper_of(content: bytes, mean: MeanHead) -> Stripper:
    """Read the file of a stripper; raises OSError, ValueError and KeyError for what is none."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        count = sum(name.startswith("matrix") for name in stored.files)
        layers = tuple((stored[f"matrix{number}"], stored[f"constant{number}"]) for number in range(count))
        return Stripper(mean, stored["sought"].astype(np.float32) / np.float32(LEVELS), layers)


def _step(arms: Array, slopes: Array, pull: Array) -> Array:
    """Turn (3,) and size by RADIUS_MM, between them the shift, mm, that points which pull (n,) ask for together."""
    (x, y, z), (along_x, along_y, along_z) = arms.T, slopes
    turns = (y * along_z - z * along_y, z * along_x - x * along_z, x * along_y - y * along_x)
    design = np.stack((*turns, *slopes, x * along_x + y * along_y + z * along_z))
    normal = (design * pull**2) @ design.T
    return np.asarray(np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(7), design @ pull), np.float64)


def _moved(matrix: Array, shift: Array, step: Array) -> tuple[Array, Array]:
    x, y, z = step[:3]
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return matrix + (cross + step[6] * np.eye(3)) @ matrix / RADIUS_MM, shift + step[3:6]


def _bins(values: Array) -> Array:
    return np.clip(values * (BINS - 3) + 1, 1, BINS - 2)


def _rise(own: Array, there: Array, dark: int) -> tuple[Array, float]:
    """How the logarithm of the chance of pairs (n,) rises with the second of each, and how much one tells of the other.

    `dark` pairs are beside these.
    """
    from engines.positioning.pairs import counted, looked_up

    count = counted(own, there, BINS)
    count[1, 1] += dark
    chance = ndimage.gaussian_filter(count / count.sum(), 1.0, mode="nearest") + 1e-9
    logs = np.log(chance / chance.sum(axis=0))
    rise = np.gradient(logs, axis=1) * (BINS - 3)
    told = float((chance * (logs - np.log(chance.sum(axis=1, keepdims=True)))).sum())
    return looked_up(rise, own, there), told

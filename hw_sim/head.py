"""A head as a volume of tissue fractions in LPS mm: the MNI template, or any NIfTI file."""

import zlib
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hw_sim.errors import SimulationError
from hw_sim.tissue import TISSUES, Contrast, Tissue

__all__ = ["Volume", "load_nifti", "mni_head"]

RIM_MM: Final = 28  # room around the brain for CSF, bone and scalp
# Outer distance from the brain, mm, and what fills the ring up to there.
RINGS: Final = ((2.5, "csf"), (7.5, "bone"), (9.0, "muscle"), (13.0, "fat"))
MARKER_RADIUS_MM: Final = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A patient made of voxels, each a mixture of tissues."""

    fractions: NDArray[np.uint8]  # (tissue, i, j, k), 255 is pure
    tissues: tuple[Tissue, ...]
    affine: NDArray[np.float64]  # (4, 4), voxel to LPS mm
    radius_mm: float
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the file's own coordinates, LPS mm

    def surface_mm(self, names: Container[str], count: int = 400) -> NDArray[np.float64]:
        """Points (n, 3), LPS mm, of tissues of these names; each is the farthest out in one of `count` directions."""
        chosen = [tissue.name in names for tissue in self.tissues]
        inside = self.fractions[chosen].max(axis=0) >= 128
        edge = inside & ~ndimage.binary_erosion(inside)
        points = np.argwhere(edge) @ self.affine[:3, :3].T + self.affine[:3, 3]
        z = 1 - (2 * np.arange(count) + 1) / count
        around = np.pi * (3 - 5**0.5) * np.arange(count)
        flat = np.sqrt(1 - z**2)
        outwards = np.column_stack((flat * np.cos(around), flat * np.sin(around), z)).astype(np.float32)
        return points[np.unique((outwards @ points.astype(np.float32).T).argmax(axis=1))]

    def image(self, points_mm: NDArray[np.float64], weight: Contrast) -> NDArray[np.float32]:
        """Signal at points (..., 3), LPS mm, by trilinear interpolation; zero outside."""
        weights = tuple(weight(tissue) for tissue in self.tissues)
        inverse = np.linalg.inv(self.affine)
        voxels = np.moveaxis(points_mm @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
        return ndimage.map_coordinates(_weighted(self, weights), voxels, order=1, output=np.float32)


@lru_cache(maxsize=2)
def _weighted(volume: Volume, weights: tuple[float, ...]) -> NDArray[np.float32]:
    """Signal of every voxel (i, j, k)."""
    total = np.zeros(volume.fractions.shape[1:], np.float32)
    for fraction, weight in zip(volume.fractions, weights, strict=True):
        total += np.float32(weight / 255) * fraction
    return total


def _volume(fractions: dict[str, NDArray[np.uint8]], ras: NDArray[np.float64], where: object) -> Volume:
    """Move the middle of what is not air to the isocentre and turn RAS into LPS."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    stack = np.stack(list(fractions.values()))
    filled = np.argwhere(stack[:, ::4, ::4, ::4].any(axis=0)) * 4
    if not filled.size:
        raise SimulationError(f"{where}: nothing in {stack.shape[1:]} voxels is as large as a head")
    corners = np.array([filled.min(axis=0), filled.max(axis=0)])
    affine[:3, 3] = -(affine[:3, :3] @ corners.mean(axis=0))
    radius_mm = float(np.abs(affine[:3, :3] @ (corners[1] - corners[0])).max() / 2) + 5.0
    x, y, z = (float(mm) for mm in affine[:3, 3] - np.diag([-1.0, -1.0, 1.0]) @ ras[:3, 3])
    return Volume(stack, tuple(TISSUES[name] for name in fractions), affine, radius_mm, (x, y, z))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Voxels scaled to 0 … 255 and the RAS affine of a NIfTI file; what is no finite number is air."""
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
    except ImportError as missing:
        raise SimulationError("a head volume needs nibabel: pip install 'scanside[sim]'") from missing
    try:
        image = nibabel.load(path)
        if wrong := _wrong_with(image.shape, image.affine):
            raise SimulationError(f"{path}: {wrong}")
        image = nibabel.as_closest_canonical(image)
        voxels = np.asarray(image.dataobj, np.float32)
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zlib.error, ImageFileError) as problem:
        raise SimulationError(f"{path}: not a readable NIfTI file ({problem})") from problem
    voxels = np.nan_to_num(voxels.reshape(voxels.shape[:3]), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    if not (voxels > 0).any():
        raise SimulationError(f"{path}: none of {voxels.shape} voxels is above 0, wanted a head that is bright on dark")
    top = max(float(np.percentile(voxels, 99.9)), 1e-6)
    return np.clip(voxels * (255 / top), 0, 255).astype(np.uint8), np.array(image.affine, np.float64)


def _wrong_with(shape: tuple[int, ...], affine: NDArray[np.float64]) -> str:
    """Why an image is no volume in space; "" where it is one, also where further axes have length 1."""
    if len(shape) < 3 or shape[3:] != (1,) * (len(shape) - 3):
        return f"got {len(shape)} dimensions {shape}, wanted a volume (i, j, k)"
    if not (np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9):
        return f"its affine {np.round(affine[:3], 3).tolist()} puts it nowhere, wanted voxels with a size in mm"
    return ""


def _template(kind: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One of the MNI ICBM152 2009 maps that the nilearn package ships (t1, gm, wm), found without importing it."""
    spec = find_spec("nilearn")
    folder = Path(str(spec.origin)).parent / "datasets" / "data" if spec else Path("nilearn")
    path = folder / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.exists():
        raise SimulationError(f"the MNI template {path.name} is not there: pip install 'scanside[sim]'")
    return _read(path)


@lru_cache(maxsize=1)
def mni_head() -> Volume:
    """Head of the MNI ICBM152 template (Fonov et al., NeuroImage 2011; 54:313) with a skull and scalp around it.

    Grey and white matter are the template's probability maps, the rest of the brain is CSF; rings at fixed distances
    from the brain stand for CSF, bone, muscle and fat. The template is symmetric, so a capsule of gel sits on the
    right temple, as radiographers put one there to tell right from left.
    """
    brain, affine = _template("t1")
    grey, white = (np.pad(_template(kind)[0], RIM_MM) for kind in ("gm", "wm"))
    inside = np.pad(brain > 0, RIM_MM)
    affine[:3, 3] -= affine[:3, :3] @ np.full(3, float(RIM_MM))
    white = np.minimum(white, 255 - grey)
    fractions = {
        "grey": np.where(inside, grey, 0).astype(np.uint8),
        "white": np.where(inside, white, 0).astype(np.uint8),
        "csf": np.where(inside, 255 - grey - white, 0).astype(np.uint8),
    }
    away_mm = _distance_mm(inside)
    inner_mm = 0.0
    for outer_mm, name in RINGS:
        ring = (away_mm > inner_mm) & (away_mm <= outer_mm) & ~inside
        fractions[name] = fractions.get(name, np.uint8(0)) + np.where(ring, 255, 0).astype(np.uint8)
        inner_mm = outer_mm
    fractions["gel"] = np.zeros_like(white)
    volume = _volume(fractions, affine, "the MNI template")
    _add_marker(volume.fractions[-1], away_mm, affine)
    return volume


def _distance_mm(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance from a region of 1 mm voxels, found on a grid of 2 mm for speed."""
    coarse = ndimage.distance_transform_edt(~inside[::2, ::2, ::2], sampling=2.0).astype(np.float32)
    middle = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) / 2 for n in inside.shape), indexing="ij"))
    return ndimage.map_coordinates(coarse, middle, order=1, mode="nearest", output=np.float32)


def _add_marker(gel: NDArray[np.uint8], away_mm: NDArray[np.float32], ras: NDArray[np.float64]) -> None:
    """Put a ball of gel on the skin at the right temple, in place."""
    row, column = (round(float(v)) for v in (-ras[1, 3], 8 - ras[2, 3]))
    head = np.flatnonzero(away_mm[:, row, column] <= RINGS[-1][0])
    middle = (head[-1] + MARKER_RADIUS_MM - 1, row, column)  # the first axis of a canonical volume grows to the right
    grid = np.ogrid[tuple(slice(0, n) for n in away_mm.shape)]
    ball = sum((axis - at) ** 2 for axis, at in zip(grid, middle, strict=True)) <= MARKER_RADIUS_MM**2
    ball &= away_mm > RINGS[-1][0]
    gel[ball] = 255


def load_nifti(path: Path) -> Volume:
    """Take any T1-weighted NIfTI head as patient: intensities become mixtures of air, CSF, grey and white matter.

    A voxel as dark as 8 % of the bright tissue is air; from there to 100 % it is mixed between its two neighbours
    on the scale CSF (20 %), grey (60 %), white (90 %). Fat of the scalp comes out as white matter.
    """
    voxels, affine = _read(path)
    level = voxels.astype(np.float32) / 255
    knots = (0.08, 0.2, 0.6, 0.9)
    csf, grey, white = (
        np.interp(level, knots, [255.0 * (n == at) for n in range(4)]).astype(np.uint8) for at in (1, 2, 3)
    )
    return _volume({"csf": csf, "grey": grey, "white": white}, affine, path)

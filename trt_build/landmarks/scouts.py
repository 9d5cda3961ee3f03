"""Scouts of known heads in any pose, as a scanner would make them, and scouts in which no head is to be found."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from engines.positioning.scout import Scout
from trt_build.landmarks.drawn import CONTROL, OBJECTS, Drawn, Grid, HeadPose, draw_head
from trt_build.landmarks.heads import NAMES, Subject

__all__ = ["BAD", "Made", "Ranges", "cropped", "simulate", "turned"]

BAD: Final = ("noise", "bottle", "wrap", "cut", "other", "metal")
WRAPPED: Final = (0.06, 0.5)  # share of the brain that is folded over
VOID: Final = (0.34, 0.6)  # share of the head that metal takes
LOWEST_MM: Final = (-32.0, 10.0)  # S of the template below which a cut head is not seen; eyes lie at -42
HIGHEST_MM: Final = (-20.0, 25.0)  # S above which it is not
Volume = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranges:
    """What is drawn; uniform between the two, or up to one either way."""

    turn_deg: float = 33.0  # about each axis
    shift_mm: float = 42.0  # along each axis
    snr: tuple[float, float] = (4.5, 32.0)
    voxel_mm: tuple[float, float] = (3.8, 5.2)
    fov_mm: tuple[float, float] = (225.0, 295.0)
    size: tuple[float, float] = (0.88, 1.18)  # of its own: other people's heads
    stretch: float = 0.06
    bend_mm: float = 2.5
    slices: float = 0.25  # share of scouts that are three-plane localizers
    bad: float = 0.25  # share without a head to be found
    own_face: float = 0.8  # share with the face and skull that the head has
    spoilt: float = 1.0  # factor on how often a good scout has a small void, no face, a nose folded in


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A scout, and the truth about it."""

    scout: Scout
    places_mm: NDArray[np.float64]  # (landmark, 3) LPS mm, NaN where nobody knows
    present: NDArray[np.bool_]  # (landmark,) whether it can be found
    bad: str  # one of BAD, or empty
    snr: float


def simulate(subject: Subject, chance: np.random.Generator, ranges: Ranges, bad: str | None = None) -> Made:
    """Draw one scout of a head; `bad` says which of BAD it shall be, '' a good one, None that chance decides."""
    if bad is None:
        bad = str(chance.choice(BAD)) if chance.random() < ranges.bad else ""
    grid, snr = _grid(chance, ranges), float(chance.uniform(*ranges.snr))
    if bad in OBJECTS:
        image = OBJECTS[bad](grid, chance)
        drawn = Drawn(image, (image > 0).astype(np.float32), np.full((len(NAMES), 3), np.nan), _none())
    else:
        lies = _lies(subject, chance, ranges)
        drawn = draw_head(subject, grid, lies, chance, own_face=chance.random() < ranges.own_face)
        _spoil(drawn, grid, lies, bad, chance, ranges.spoilt)
    scout = _scanned(drawn, grid, snr, chance)
    _hide_outside(drawn, scout)
    if chance.random() < ranges.slices:
        scout = _three_planes(scout, chance)
    return Made(scout, drawn.places_mm, drawn.present, bad, snr)


def _none() -> NDArray[np.bool_]:
    return np.zeros(len(NAMES), np.bool_)


def _grid(chance: np.random.Generator, ranges: Ranges) -> Grid:
    voxel_mm = chance.uniform(*ranges.voxel_mm) * np.exp(0.03 * chance.standard_normal(3))
    x, y, z = (2 * round(chance.uniform(*ranges.fov_mm) / mm / 2) for mm in voxel_mm.tolist())
    return Grid((z, y, x), voxel_mm, chance.uniform(-5, 5, 3))


def _lies(subject: Subject, chance: np.random.Generator, ranges: Ranges) -> HeadPose:
    angles = np.deg2rad(chance.uniform(-ranges.turn_deg, ranges.turn_deg, 3))
    bend = chance.uniform(0, ranges.bend_mm) * chance.standard_normal((3, CONTROL, CONTROL, CONTROL))
    stretch = ranges.stretch * chance.uniform(-1, 1, 3)
    shape = np.diag(1 + stretch) + 0.25 * ranges.stretch * chance.standard_normal((3, 3))
    shape /= subject.pose.scale * chance.uniform(*ranges.size)
    shift_mm = chance.uniform(-ranges.shift_mm, ranges.shift_mm, 3)
    return HeadPose(turned(angles), shift_mm, shape, bend)


def turned(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) about L, then P, then S by angles (3,) in radian."""
    made = np.eye(3)
    for axis, angle in enumerate(angles.tolist()):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[one, one, other, other], [one, other, one, other]] = np.array(
            (np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
        )
        made = step @ made
    return made


def _spoil(drawn: Drawn, grid: Grid, lies: HeadPose, bad: str, chance: np.random.Generator, often: float) -> None:
    """Take away what a cut, metal, a removed face or the coil's reach take, and fold what folds; in place."""
    if bad == "cut":
        low = chance.random() < 0.7
        level = chance.uniform(*(LOWEST_MM if low else HIGHEST_MM))
        _keep(drawn, _half(grid, lies, (0, 0, 1 if low else -1), level if low else -level), grid)
    elif chance.random() < 0.4:
        _keep(drawn, _half(grid, lies, (0, 0, 1), chance.uniform(-130, -75)), grid)
    if not bad and chance.random() < 0.06 * often:
        _keep(drawn, _half(grid, lies, (0, 0.7, 0.7), chance.uniform(-62, -54)), grid)
    if bad == "metal" or chance.random() < 0.08 * often:
        share = chance.uniform(*(VOID if bad == "metal" else (0.01, 0.12)))
        _keep(drawn, _outside_void(drawn, grid, share, chance), grid)
    if bad == "wrap":
        _fold(drawn, grid, chance.uniform(*WRAPPED), chance)
    elif chance.random() < 0.12 * often:
        _fold(drawn, grid, 0.0, chance)
    if bad:
        drawn.present[:] = False


def _half(grid: Grid, lies: HeadPose, normal: tuple[float, float, float], level: float) -> NDArray[np.bool_]:
    """Where normal @ place in the template is above a level (z, y, x)."""
    linear, offset = lies.to_template()
    along, start = np.array(normal) @ linear, float(np.array(normal) @ offset)
    x, y, z = grid.axes_mm()
    return along[0] * x + (along[1] * y)[:, None] + (along[2] * z)[:, None, None] + start > level


def _outside_void(drawn: Drawn, grid: Grid, share: float, chance: np.random.Generator) -> NDArray[np.bool_]:
    """All but a ball around a place of the head that holds a share of it."""
    x, y, z = grid.axes_mm()
    head = drawn.image[::3, ::3, ::3] > 0.1 * np.float32(np.percentile(drawn.image[::3, ::3, ::3], 99))
    inside = np.argwhere(head)
    if not len(inside):
        return np.ones(drawn.image.shape, np.bool_)
    middle = inside[chance.integers(len(inside))] * 3
    away = ((z - z[middle[0]])[:, None, None] ** 2 + (y - y[middle[1]])[:, None] ** 2 + (x - x[middle[2]]) ** 2).astype(
        np.float32
    )
    return away > np.quantile(away[::3, ::3, ::3][head], share)


def _keep(drawn: Drawn, seen: NDArray[np.bool_], grid: Grid) -> None:
    """Leave signal where it is seen, in place."""
    drawn.image *= seen
    at = _voxel_of(drawn.places_mm, grid, grid.fine)
    inside = np.asarray(((at >= 0) & (at < seen.shape)).all(1))
    at = np.where(inside[:, None], at, 0)
    drawn.present &= ~inside | seen[at[:, 0], at[:, 1], at[:, 2]]


def _voxel_of(places_mm: NDArray[np.float64], grid: Grid, shape: tuple[int, int, int]) -> NDArray[np.intp]:
    """Nearest voxel (n, 3), z y x, of places; far outside where they are not known."""
    size_mm = grid.voxel_mm * grid.shape[::-1] / shape[::-1]
    at = (places_mm - grid.middle_mm) / size_mm + np.array(shape[::-1]) // 2
    return np.round(np.nan_to_num(at, nan=-1e6)).astype(np.intp)[:, ::-1]


def _fold(drawn: Drawn, grid: Grid, share: float, chance: np.random.Generator) -> None:
    """Move the object over an edge of the field of view, until a share of the brain (0: nose or ear) comes in again."""
    axis = int(chance.integers(3))
    profile = (drawn.brain > 0.5).sum(axis=tuple(a for a in range(3) if a != axis))
    if not profile.any():
        return
    size, up = len(profile), bool(chance.integers(2))
    gone = np.cumsum(profile[::-1] if up else profile) / profile.sum()
    steps = int(np.searchsorted(gone, share, "right"))
    steps = max(0, steps - (int(chance.integers(2, 8)) if share == 0 else 0))
    steps = steps if up else -steps
    drawn.image = np.roll(drawn.image, steps, axis)
    drawn.places_mm = drawn.places_mm.copy()
    drawn.places_mm[:, 2 - axis] += steps * (grid.voxel_mm[2 - axis] * grid.shape[axis] / size)


def _scanned(drawn: Drawn, grid: Grid, snr: float, chance: np.random.Generator) -> Scout:
    """Receive, sample as much of k-space as the matrix has, and add what is left of aliases and noise; magnitudes."""
    shade = _shade(grid, chance)
    image = drawn.image * shade
    inside = drawn.brain > 0.5
    level = float(image[inside].mean()) if inside.any() else 1.0
    small = cropped(image, grid.shape)
    if chance.random() < 0.6:
        axis = int(chance.integers(2))
        for part in (1, 2, 3):
            small += chance.uniform(0, 0.05) * np.roll(small, part * small.shape[axis] // 4, axis)
    sigma = np.full(grid.shape, max(level, 1e-3) / snr, np.float32)
    if chance.random() < 0.6:
        sigma *= 1 + np.float32(chance.uniform(0, 0.8)) * _bump(grid.shape)
    noise = chance.standard_normal((2, *grid.shape), np.float32) * sigma
    pixels = np.hypot(small + noise[0], noise[1])
    scale = np.float32(10 ** chance.uniform(-2, 3))
    noise_sigma = float(np.mean(sigma) * scale)
    return Scout(pixels * scale, grid.affine(), noise_sigma, "HFS", (0.0, 0.0, 0.0), "simulated", 0.0)


def _shade(grid: Grid, chance: np.random.Generator) -> Volume:
    """What coils see more or less of: a slope and a bowl, 1 in the middle."""
    x, y, z = (axis.astype(np.float32) / 100 for axis in grid.axes_mm())
    slope, bowl = chance.normal(0, 0.2, 3).astype(np.float32), chance.uniform(-0.15, 0.5, 3).astype(np.float32)
    logs = [s * axis + b * axis**2 for s, b, axis in zip(slope, bowl, (x, y, z), strict=True)]
    along_x, along_y, along_z = (np.exp(np.clip(log, -2, 2)) for log in logs)
    return (along_z[:, None] * along_y)[..., None] * along_x


def _bump(shape: tuple[int, int, int]) -> Volume:
    z, y, x = (np.hanning(size + 2)[1:-1].astype(np.float32) for size in shape)
    return (z[:, None] * y)[..., None] * x


def cropped(image: Volume, shape: tuple[int, int, int]) -> Volume:
    """The image that a smaller k-space makes of another one; ringing included."""
    spectrum = scipy.fft.rfftn(image)
    for axis, size in enumerate(shape[:2]):
        low, high = np.arange(size // 2), np.arange(spectrum.shape[axis] - size // 2, spectrum.shape[axis])
        spectrum = spectrum.take(np.concatenate([low, high]), axis)
    spectrum = spectrum[..., : shape[2] // 2 + 1] * np.float32(np.prod(shape) / image.size)
    return scipy.fft.irfftn(spectrum, shape)


def _hide_outside(drawn: Drawn, scout: Scout) -> None:
    """What lies outside the scout is not present, in place."""
    inverse = np.linalg.inv(scout.affine)
    at = np.nan_to_num(drawn.places_mm, nan=1e6) @ inverse[:3, :3].T + inverse[:3, 3]
    drawn.present &= ((at > -0.5) & (at < np.array(scout.pixels.shape[::-1]) - 0.5)).all(1)


def _three_planes(scout: Scout, chance: np.random.Generator) -> Scout:
    """Five slices in each of three planes of it; NaN between them."""
    shape: tuple[int, ...] = scout.pixels.shape
    pixels = np.full(shape, np.nan, np.float32)
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    step_mm, thick_mm = chance.uniform(14, 26), chance.uniform(5, 9)
    for axis, size in enumerate(shape):
        voxel_mm = float(np.linalg.norm(scout.affine[:3, 2 - axis]))
        for number in range(-2, 3):
            middle = size / 2 + number * step_mm / voxel_mm
            first = round(middle - thick_mm / voxel_mm / 2)
            last = max(first + 1, round(middle + thick_mm / voxel_mm / 2))
            slab = (*(slice(None),) * axis, slice(max(first, 0), min(last, size)))
            seen = scout.pixels[slab]
            if seen.shape[axis]:
                total[slab] += seen.mean(axis, keepdims=True)
                count[slab] += 1
    np.divide(total, count, out=pixels, where=count > 0)
    return Scout(
        pixels, scout.affine, scout.noise, scout.patient_position, scout.table_position_mm, scout.measurement_id, 0.0
    )

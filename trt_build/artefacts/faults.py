"""What can go wrong in a scan, each as it goes wrong in k-space; strengths are drawn from where they can be seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.linear.fourier import to_image, to_kspace
from trt_build.artefacts.heads import AT_REST, Pose, draw_slice
from trt_build.artefacts.scan import Scan, block_of, lines_of
from trt_build.data.coils import random_coils

__all__ = ["FAULTS", "Fault"]

Complex = NDArray[np.complex64]
Change = Callable[[Complex], Complex]
LEAST_MM, LEAST_DEG = 2.0, 2.0  # motion that must be found
MOST_MM, MOST_DEG = 9.0, 8.0


def _same(hybrid: Complex) -> Complex:
    return hybrid


@dataclass(frozen=True, slots=True)
class Fault:
    """How hybrid space (coil, line, x) changes before and after noise is added, and what the maps are learned from."""

    scan: Scan  # perhaps another one than was asked for: what the fault needs to show
    signal: Complex | None = None  # without noise, in place of the scan's own
    right: Complex | None = None  # the signal as it should have been, where that is not the scan's own
    filtered: Change = _same  # the signal, before noise comes
    received: Change = _same  # signal and noise
    louder: float = 1.0  # factor on the noise
    taught: Complex | None = None  # calibration lines, in place of the scan's own
    facts: Mapping[str, float] = field(default_factory=dict)


def motion(scan: Scan, chance: np.random.Generator) -> Fault:
    """It moves between readouts, once or twice, or moves and comes back; it belongs where the middle lines saw it."""
    count = len(scan.order)
    poses = [AT_REST, _pose(chance)]
    if chance.random() < 0.35:  # it comes back
        first, last = np.sort(chance.uniform(0.05, 0.95, 2))
        lasts = max(last - first, 0.1)
        changes, which = [first, min(first + lasts, 0.97)], [0, 1, 0]
    else:
        changes, which = [chance.uniform(0.1, 0.9)], [0, 1]
        if chance.random() < 0.4:
            poses.append(_pose(chance))
            changes, which = np.sort(chance.uniform(0.1, 0.9, 2)).tolist(), [0, 1, 2]
    at = np.searchsorted(np.array(changes) * count, np.arange(count), side="right")
    lies = np.array(which)[at]
    seen = [scan.signal(pose) for pose in poses]
    signal = seen[0].copy()
    for number in range(1, len(poses)):
        rows = scan.order[lies == number]
        signal[:, rows] = seen[number][:, rows]
    middle = int(lies[np.abs(scan.order - scan.grid.lines // 2).argmin()])
    shift_mm, turn_deg = np.max([pose.size for pose in poses], axis=0).tolist()
    return Fault(scan, signal, seen[middle], facts={"mm": shift_mm, "deg": turn_deg, "share": float((lies > 0).mean())})


def _pose(chance: np.random.Generator) -> Pose:
    """Shifted, turned or both, so that one of them is no less than LEAST."""
    kind = chance.integers(3)
    shift_mm = np.exp(chance.uniform(np.log(LEAST_MM), np.log(MOST_MM))) if kind != 1 else chance.uniform(0, 1)
    turn_deg = np.exp(chance.uniform(np.log(LEAST_DEG), np.log(MOST_DEG))) if kind != 0 else chance.uniform(0, 1)
    shift, turn = (length * _direction(chance) for length in (shift_mm, turn_deg))
    return Pose((shift[0], shift[1], shift[2]), (turn[0], turn[1], turn[2]))


def _direction(chance: np.random.Generator) -> NDArray[np.float64]:
    vector = chance.standard_normal(3)
    return np.asarray(vector / np.linalg.norm(vector))


def noise(scan: Scan, chance: np.random.Generator) -> Fault:
    """Noise as strong as that of a coil that is not plugged in right."""
    return Fault(scan, louder=scan.snr / chance.uniform(2.0, 7.0), facts={"louder": 1.0})


def ghosting(scan: Scan, chance: np.random.Generator) -> Fault:
    """Every second line turned in phase, shots that differ, or a pulse that turns the phase."""
    count, width = len(scan.order), scan.grid.width
    kind = chance.integers(3)
    number = np.arange(count)
    if kind == 0:
        turned = chance.uniform(0.15, 1.2) * chance.choice((-1, 1))
        slope = chance.normal(0, 0.8) * (np.arange(width) / width - 0.5)
        angle = np.where(number[:, None] % 2 == 1, turned + slope, 0.0)
        factor = np.exp(1j * angle)
        order = np.sort(scan.order)
    elif kind == 1:
        shots = int(chance.integers(2, 9))
        strong = chance.uniform(0.1, 0.5)
        each = (1 + strong * chance.normal(0, 1, shots)) * np.exp(2j * strong * chance.normal(0, 1, shots))
        factor, order = each[number % shots][:, None], np.sort(scan.order)
    else:
        period = np.exp(chance.uniform(np.log(2.5), np.log(25)))
        pulse = np.sin(2 * np.pi * number / period + chance.uniform(0, 6))
        factor, order = np.exp(1j * chance.uniform(0.2, 1.0) * pulse)[:, None], scan.order

    def filtered(hybrid: Complex) -> Complex:
        out = hybrid.copy()
        out[:, order] *= factor.astype(np.complex64)
        return out

    return Fault(scan, filtered=filtered)


def wrap(scan: Scan, chance: np.random.Generator) -> Fault:
    """A field of view too small along phase encoding: what lies outside comes in at the other end."""
    grid = scan.grid
    narrow = chance.uniform(0.45, 0.75)
    wide = replace(grid, lines=2 * grid.lines, pixel_mm=(grid.pixel_mm[0] * narrow, grid.pixel_mm[1]))
    whole = draw_slice(scan.slice.head, wide, chance).image() * np.float32(scan.gain)
    received = random_coils(chance, wide, len(scan.coils)) * whole
    half = grid.lines // 2
    inside = received[:, half : half + grid.lines].copy()
    folded = inside.copy()
    folded[:, half:] += received[:, :half]
    folded[:, :half] += received[:, half + grid.lines :]
    return Fault(scan, to_kspace(folded, 1), to_kspace(inside, 1))


def spike(scan: Scan, chance: np.random.Generator) -> Fault:
    """Sparks: a few samples of k-space with energy of their own in all coils."""
    size = scan.signal()
    count = int(chance.choice((1, 1, 1, 2, 3, 5)))
    energy = np.exp(chance.uniform(np.log(0.04), np.log(0.5))) * np.linalg.norm(size) / np.sqrt(count)
    coils, _, width = size.shape
    added = np.zeros_like(size)
    for _ in range(count):
        line = int(chance.choice(scan.order))
        turns = int(chance.integers(-width // 2, width // 2))
        weights = chance.standard_normal((coils, 2)) @ (1, 1j)
        weights *= energy / np.linalg.norm(weights) / np.sqrt(width)
        wave = np.exp(2j * np.pi * turns * (np.arange(width) - width // 2) / width)
        added[:, line] += (weights[:, None] * wave).astype(np.complex64)
    return Fault(scan, received=lambda hybrid: hybrid + added)


def zipper(scan: Scan, chance: np.random.Generator) -> Fault:
    """Interference at one frequency of the readout, of another phase in each line."""
    coils, lines, width = scan.coils.shape
    column = int(chance.uniform(0.08, 0.92) * width)
    size = np.exp(chance.uniform(np.log(0.3), np.log(2.5))) * scan.snr
    weights = chance.standard_normal((coils, 2)) @ (1, 1j)
    weights /= np.linalg.norm(weights)
    wave = chance.standard_normal((lines, 2)) @ (1, 1j) / np.sqrt(2)
    if chance.random() < 0.4:  # its frequency stands: phase goes on from line to line
        wave = np.exp(1j * (chance.uniform(0.5, 5.8) * np.arange(lines) + np.cumsum(chance.normal(0, 0.2, lines))))
    added = np.zeros((coils, lines, width), np.complex64)
    added[:, :, column] = size * weights[:, None] * wave
    if chance.random() < 0.4:
        added[:, :, min(column + 1, width - 1)] = chance.uniform(0.3, 0.8) * added[:, :, column]
    return Fault(scan, received=lambda hybrid: hybrid + added)


def blurring(scan: Scan, chance: np.random.Generator) -> Fault:
    """The outer lines or samples were never measured, or the signal decays on its way there."""
    along, lines = chance.integers(3), scan.grid.lines
    size = [lines, scan.grid.width]
    if chance.random() < 0.5:
        keep = [np.abs(np.arange(n) - n // 2) <= chance.uniform(0.3, 0.6) * n / 2 for n in size]
        weight = [kept.astype(np.float32) for kept in keep]
        late = True
    else:
        weight = [np.exp(-chance.uniform(2.0, 6.0) * np.abs(np.arange(n) - n // 2) / (n / 2)) for n in size]
        late = False
    down, across = (np.asarray(w, np.float32) if along in (2, axis) else None for axis, w in enumerate(weight))

    def change(hybrid: Complex) -> Complex:
        out = hybrid if down is None else hybrid * down[:, None]
        return out if across is None else to_image(to_kspace(out, 2) * across, 2)

    return Fault(scan, received=change) if late else Fault(scan, filtered=change)


def aliasing(scan: Scan, chance: np.random.Generator) -> Fault:
    """Maps of another place: the calibration lines were taken where patient and coils no longer are."""
    lines, width = scan.grid.lines, scan.grid.width
    acquired = lines_of(chance, lines, "grid" if chance.random() < 0.7 else "embedded")
    scan = replace(scan, acquired=acquired, order=np.flatnonzero(acquired))
    block = block_of(lines)
    taught = (scan.signal() + scan.noise)[:, block]
    far = chance.uniform(0.02, 0.12, 2) * chance.choice((-1, 1), 2) * (lines, width)
    ramp = np.exp(2j * np.pi * (np.arange(lines)[block] - lines // 2) * far[0] / lines).astype(np.complex64)
    moved = np.roll(taught * ramp[:, None], round(float(far[1])) * int(chance.integers(2)), 2)
    return Fault(scan, taught=moved)


FAULTS: Final[Mapping[str, Callable[[Scan, np.random.Generator], Fault]]] = {
    "motion": motion,
    "noise": noise,
    "ghosting": ghosting,
    "wrap": wrap,
    "spike": spike,
    "zipper": zipper,
    "blurring": blurring,
    "aliasing": aliasing,
}

"""Test cases: undersampled, whitened k-space of a slice, what is learned from its calibration lines, and the truth.

Everything is in units of the whitened noise. The truth of a simulated slice is the root sum of squares of its
noise-free, fully sampled coil images, which prefers nobody's sensitivity maps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from engines.linear.calibration import Calibration, learn
from engines.linear.combine import adaptive, rss
from engines.linear.fourier import readout_to_hybrid, to_image, to_kspace
from engines.linear.noise import covariance, whitener
from hw_sim.coils import Array, head_array
from hw_sim.planes import Plane, planes, points
from hw_sim.signal import slice_image, slice_kspace
from hw_sim.tissue import Tissue
from protocols.simulate import Simulate
from trt_build.report.masks import CALIBRATION_LINES, Pattern, acquired_lines, first_calibration_line
from trt_build.report.subjects import SheppLogan, Subject, Template, read_head, subjects_of

__all__ = ["ACCELERATIONS", "Case", "Slice", "cases_of", "head_slices", "phantom_slices", "simulate", "undersample"]

ACCELERATIONS: Final = (3, 4, 6, 8)
PATTERNS: Final[tuple[Pattern, ...]] = ("equispaced", "random")
MATRIX: Final = 256
FOV_MM: Final = 230.0
COILS: Final = 16
SNR: Final = 30.0  # mean of tissue by the noise of a real or imaginary part, fully sampled
NOISE_SAMPLES: Final = 4096
HEIGHTS_MM: Final = (-5.0, 20.0, 45.0)  # of the slices of a head, above the middle of the brain
REGULARISATION: Final = 1e-2  # of the linear image, as behind the network in brain_gre_r4_network

Bool = NDArray[np.bool_]
Complex = NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A fully sampled slice."""

    group: str  # heads, mni, shepp_logan, real
    name: str
    full: Complex  # (coil, line, x) hybrid, whitened, with noise
    clean: Complex | None  # the same without noise; None where nobody knows it
    reference: NDArray[np.float32]  # (y, x)
    head: Bool  # (y, x)
    brain: Bool  # (y, x)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An undersampled slice, as the plugin has it when the last line has come."""

    group: str
    name: str
    acceleration: int
    pattern: Pattern
    hybrid: Complex  # (coil, line, x) whitened, zero where nothing was acquired
    acquired: Bool  # (line,)
    calibration: Calibration  # ESPIRiT maps from the 24 calibration lines, support, column problem
    target: Complex  # (y, x) what these maps describe of the full data: noise-free where that is known
    reference: NDArray[np.float32]  # (y, x)
    head: Bool  # (y, x)
    brain: Bool  # (y, x)

    @property
    def maps(self) -> Complex:
        """Sensitivity maps (coil, y, x), zero outside the object."""
        return self.calibration.maps * self.calibration.inside

    @property
    def kspace(self) -> Complex:
        """The acquired samples (coil, line, kx), the readout in k-space too."""
        return to_kspace(self.hybrid, 2)


def simulate(
    group: str, name: str, subject: Subject, height_mm: float = 0.0, seed: int = 0, *, of_pixels: bool = False
) -> Slice:
    """Scan an axial slice with sixteen coils and correlated noise, 256 x 256 pixels of 0.9 mm, 3 mm thick.

    An object made `of_pixels`, as downloaded phantoms are, shows no ringing. SNR is that of the brain; a phantom's is
    that of all of it, bright skull included.
    """
    scan = Simulate(matrix=(MATRIX, MATRIX), fov_mm=(FOV_MM, FOV_MM), thickness_mm=3.0, centre_mm=(0.0, 0.0, height_mm))
    plane, coils = planes(scan)[0], head_array(COILS)
    clean = _of_pixels(subject, plane, coils) if of_pixels else _received(subject, plane, coils, scan)
    chance = np.random.default_rng(seed)
    root = np.linalg.cholesky(coils.covariance)
    matrix = whitener(covariance(root @ _white(chance, (COILS, NOISE_SAMPLES))))
    clean = np.tensordot(matrix, clean, 1)
    truth = rss(to_image(clean, 1))
    head, brain = _head(truth), subject.brain(_pixels(plane))
    tissue = head if isinstance(subject, SheppLogan) else brain
    scale = np.float32(SNR / np.sqrt(2) / truth[tissue].mean())
    noise = np.tensordot(matrix @ root, _white(chance, clean.shape), 1).astype(np.complex64)
    clean = (clean * scale).astype(np.complex64)
    return Slice(group, name, clean + noise, clean, truth * scale, head, brain)


def _received(subject: Subject, plane: Plane, coils: Array, scan: Simulate) -> Complex:
    """What the coils receive (coil, line, x) in hybrid space, without noise; drawn finer than the pixels."""
    samples = slice_kspace(slice_image(subject, plane, scan, _weight_of_nothing), plane, coils, scan)
    return readout_to_hybrid(np.ascontiguousarray(samples.swapaxes(0, 1)), 2 * MATRIX, MATRIX).swapaxes(0, 1)


def _of_pixels(subject: Subject, plane: Plane, coils: Array) -> Complex:
    across_mm = _across_mm()
    image = subject.image(_pixels(plane), _weight_of_nothing)
    return to_kspace(coils.on_plane(plane, across_mm, across_mm) * image, 1)


def _weight_of_nothing(tissue: Tissue) -> float:  # noqa: ARG001 (subjects of the report carry their own contrast)
    return 1.0


def _white(chance: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    """Complex noise with E|n|^2 = 1."""
    real, imaginary = chance.standard_normal((2, *shape))
    return (real + 1j * imaginary) / np.sqrt(2)


def _across_mm() -> NDArray[np.float64]:
    return (np.arange(MATRIX, dtype=np.float64) - MATRIX // 2) * (FOV_MM / MATRIX)


def _pixels(plane: Plane) -> NDArray[np.float64]:
    return points(plane, _across_mm(), _across_mm())


def _head(image: NDArray[np.float32]) -> Bool:
    """Where tissue is, holes filled."""
    return binary_fill_holes(image > 0.1 * np.percentile(image, 98))


def undersample(full: Slice, acceleration: int, pattern: Pattern, regularisation: float = REGULARISATION) -> Case:
    """Keep some lines of a slice and learn from its calibration lines what the plugin would."""
    lines = full.full.shape[1]
    first = first_calibration_line(lines)
    acquired = acquired_lines(lines, acceleration, pattern)
    calibration = learn(
        np.ascontiguousarray(full.full[:, first : first + CALIBRATION_LINES]),
        first,
        acquired,
        "espirit",
        regularisation,
    )
    source = full.full if full.clean is None else full.clean
    return Case(
        group=full.group,
        name=full.name,
        acceleration=acceleration,
        pattern=pattern,
        hybrid=full.full * acquired[:, None],
        acquired=acquired,
        calibration=calibration,
        target=adaptive(to_image(source, 1), calibration.maps) * calibration.inside,
        reference=full.reference,
        head=full.head,
        brain=full.brain,
    )


def cases_of(
    slices: Iterable[Slice],
    accelerations: Iterable[int] = ACCELERATIONS,
    patterns: Iterable[Pattern] = PATTERNS,
) -> Iterator[Case]:
    """Every slice with every acceleration and pattern, made one by one."""
    for full in slices:
        for acceleration in accelerations:
            for pattern in patterns:
                yield undersample(full, acceleration, pattern)


def head_slices(folder: Path, split: str, heights_mm: Iterable[float] = HEIGHTS_MM) -> Iterator[Slice]:
    """Axial slices of the subjects of one part of the split."""
    for number, name in enumerate(subjects_of(folder, split)):
        for height_mm in heights_mm:
            yield simulate("heads", f"{name} {height_mm:+.0f} mm", read_head(folder, name), height_mm, seed=number)


def phantom_slices() -> Iterator[Slice]:
    """The MNI head in two contrasts, and Shepp-Logan, as an object and made of pixels."""
    yield simulate("mni", "MNI T1", Template(), 20.0)
    yield simulate("mni", "MNI T2", Template(t2_weighted=True), 20.0)
    yield simulate("shepp_logan", "Shepp-Logan", SheppLogan())
    yield simulate("shepp_logan", "Shepp-Logan of pixels", SheppLogan(), of_pixels=True)

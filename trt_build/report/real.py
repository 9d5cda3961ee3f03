"""Real brains, fully sampled, to be undersampled afterwards.

Neither file has a noise scan: the noise is measured in the air before and behind the head. Beside it the receiver's
filter rolls off where a readout is not oversampled: brain16_gre has 2.2 times less noise there than in the head. The
reference is the fully sampled data combined with maps from their own central lines, and it is noisy: a method that
removes noise is punished for it. Brain is what lies deeper than the scalp and the skull by distance from the air.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
)

from engines.linear.combine import adaptive, rss
from engines.linear.espirit import espirit_maps
from engines.linear.fourier import readout_to_hybrid, to_image
from engines.linear.noise import covariance, whitener
from hw_sim.replay import read_recording
from trt_build.report.cases import Slice

__all__ = ["FILES", "real_slices"]

FILES: Final = {"brain16_gre": 2.0, "brain7_from_images": 1.0}  # name -> size of a pixel, mm
REFERENCE_LINES: Final = 48  # in the middle of k-space, that the reference's maps are estimated from
SCALP_MM: Final = 13.0


def real_slices(folder: Path) -> Iterator[Slice]:
    """Every file that is there as a slice of the group `real`."""
    for name, pixel_mm in FILES.items():
        path = folder / f"{name}.h5"
        if path.exists():
            yield _slice(name, _hybrid(path), pixel_mm)


def _hybrid(path: Path) -> NDArray[np.complex64]:
    """All lines (coil, line, x) of a file, the readout in image space."""
    batches = list(read_recording(path).readouts())
    rows = np.concatenate([batch.headers["idx"]["kspace_encode_step_1"] for batch in batches])
    samples = np.concatenate([batch.samples for batch in batches])
    _, coils, width = samples.shape
    hybrid = np.zeros((coils, int(rows.max()) + 1, width), np.complex64)
    hybrid[:, rows] = readout_to_hybrid(samples, width, width).swapaxes(0, 1)
    return hybrid


def _slice(name: str, hybrid: NDArray[np.complex64], pixel_mm: float) -> Slice:
    hybrid = np.tensordot(whitener(_noise(hybrid)), hybrid, 1).astype(np.complex64)
    lines = hybrid.shape[1]
    first = lines // 2 - REFERENCE_LINES // 2
    maps = espirit_maps(np.ascontiguousarray(hybrid[:, first : first + REFERENCE_LINES]), lines, first)
    reference = np.abs(adaptive(to_image(hybrid, 1), maps))
    head = _head(reference)
    brain = head & (distance_transform_edt(head) > SCALP_MM / pixel_mm)
    return Slice("real", name, hybrid, None, reference, head, brain)


def _noise(hybrid: NDArray[np.complex64]) -> NDArray[np.complex128]:
    """Covariance (coil, coil) of the air in the middle columns of fully sampled lines (coil, line, x)."""
    images = to_image(hybrid, 1)
    _, rows, width = images.shape
    air = ~binary_dilation(_head(rss(images)), iterations=rows // 32)
    air[:, : width // 4] = air[:, -(width // 4) :] = False
    return covariance(images[:, air])


def _head(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where tissue is: the largest part that is brighter than air, holes filled."""
    smooth = gaussian_filter(image, 1.5)
    parts, count = label(binary_closing(smooth > 0.12 * np.percentile(smooth, 99), iterations=2))
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1 if count else 0
    return binary_fill_holes(binary_dilation(parts == largest))

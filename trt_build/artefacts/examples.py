"""Images with known artefacts: which, how strong, and by how much each changed the image."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.artefacts.names import ARTEFACTS
from engines.artefacts.planes import planes_of
from engines.linear.errors import LinearError
from trt_build.artefacts.faults import FAULTS, Fault
from trt_build.artefacts.scan import Scan, draw_scan, picture
from trt_build.data.volumes import Source

__all__ = ["VISIBLE", "Example", "examples_of", "planes"]

Complex = NDArray[np.complex64]
Floats = NDArray[np.float32]

VISIBLE: Final = 0.02  # change of the image by its size; what changes it less is not called an artefact
BRIGHTEST: Final = 2048
LARGEST: Final = 32767
OFTEN: Final = (0.44, *(0.08,) * 7)  # of an image that is to be spoilt, in the order of ARTEFACTS
SECOND: Final = 0.12  # share of spoilt images with noise besides


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One image and the truth about it."""

    pixels: NDArray[np.int16]  # (2, y, x) real and imaginary part, BRIGHTEST at the 99.9th percentile of the magnitude
    present: NDArray[np.bool_]  # (artefact,)
    severity: NDArray[np.float32]  # (artefact,) change of the image by its size; NaN where it is not known
    motion: tuple[float, float, float]  # largest shift in mm and turn in degrees, share of the readouts
    subject: int
    snr: float


def examples_of(source: Source, seed: int, index: int) -> Iterator[Example]:
    """The images of scan `index` of the sequence `seed`: a clean one and two spoilt ones; the same whenever asked."""
    chance = np.random.default_rng([seed, index])
    subject = int(chance.integers(len(source.subjects)))
    scan = draw_scan(source.head(subject), chance)
    try:
        clean = _clean(scan)
        yield _example(clean, {}, subject, scan.snr)
        for _ in range(2):
            name = str(chance.choice(ARTEFACTS, p=OFTEN))
            fault = FAULTS[name](scan, chance)
            made = _spoilt(scan, clean, name, fault, chance)
            if made is not None:
                yield _example(*made, subject, scan.snr, fault)
    except LinearError:  # a slice that misses the head
        return


def _clean(scan: Scan, signal: NDArray[np.complex64] | None = None) -> Complex:
    return picture(scan, (scan.signal() if signal is None else signal) + scan.noise)


def _spoilt(
    scan: Scan, clean: Complex, name: str, fault: Fault, chance: np.random.Generator
) -> tuple[Complex, dict[str, float]] | None:
    """The image and the severity of what is in it; None where it can hardly be seen, but for motion."""
    signal = fault.scan.signal() if fault.signal is None else fault.signal
    same = fault.right is None and fault.scan is scan
    like = clean if same else _clean(fault.scan, fault.right)
    louder, both = fault.louder, name != "noise" and chance.random() < SECOND
    if both:
        louder = scan.snr / chance.uniform(3.0, 7.0)
    hybrid = fault.received(fault.filtered(signal) + fault.scan.noise * np.float32(louder))
    image = picture(fault.scan, hybrid, fault.taught)
    severity = _change(np.abs(image), np.abs(like))
    if both:
        return image, {name: float("nan"), "noise": float("nan")}
    return (image, {name: severity}) if severity >= VISIBLE or name == "motion" else None


def _change(image: NDArray[np.float32], like: NDArray[np.float32]) -> float:
    """Distance of an image, scale fitted, from what it should be, by the size of the latter."""
    scale = float((image * like).sum() / max(float((image * image).sum()), 1e-9))
    return float(np.linalg.norm(scale * image - like) / max(float(np.linalg.norm(like)), 1e-9))


def _example(
    image: Complex, severity: dict[str, float], subject: int, snr: float, fault: Fault | None = None
) -> Example:
    facts = {} if fault is None else fault.facts
    scale = np.float32(BRIGHTEST / (float(np.percentile(np.abs(image), 99.9)) or 1.0))
    return Example(
        np.rint(np.stack([image.real, image.imag]) * scale).clip(-LARGEST, LARGEST).astype(np.int16),
        np.array([name in severity for name in ARTEFACTS]),
        np.array([severity.get(name, 0.0) for name in ARTEFACTS], np.float32),
        (facts.get("mm", 0.0), facts.get("deg", 0.0), facts.get("share", 0.0)),
        subject,
        snr,
    )


def planes(pixels: NDArray[np.int16]) -> dict[str, Floats]:
    """What the network is shown of an example's pixels (2, y, x)."""
    return planes_of(pixels[0] + np.complex64(1j) * pixels[1])

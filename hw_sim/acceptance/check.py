"""The acceptance test of geometry: beads at known places in the patient, sent as raw data, found again in what returns.

Eight patient positions, four orientations, and every direction either way: 256 scans. A server passes where each bead
lies, by the image header, where it was put.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.acceptance.beads import ACCEPTANCE, locate
from hw_sim.clock import VirtualClock
from hw_sim.devices import Table
from hw_sim.errors import SimulationError
from hw_sim.export import RAS_FROM_LPS, Stacked, stacked, write_dicom, write_nifti
from hw_sim.link import Session, play
from hw_sim.pacing import at_once
from hw_sim.paperwork import Order, first_line, headers, scan_of
from hw_sim.planes import Plane
from hw_sim.sequencer import acquired_lines, plan
from protocols.errors import PeerError
from protocols.geometry import DEVICE_FROM_PATIENT, ORIENTATIONS, Grid, lps_from_pixel, rotated, rotation_of
from protocols.header import write_header
from protocols.messages import Image, Readouts
from protocols.simulate import Simulate

__all__ = ["CARRIERS", "Case", "Outcome", "cases", "check", "judge", "raw"]

# Pixels of 3 x 4 mm: neither matrix nor field of view is square, so that no swap of axes goes unseen.
SCAN: Final = Simulate(matrix=(48, 32), fov_mm=(144.0, 128.0), slices=7, thickness_mm=4.0, gap_mm=5.0, snr=None,
                       noise_readouts=0, te_ms=1.0)  # fmt: skip
CENTRE_MM: Final = (17.0, -31.0, 23.0)  # off the isocentre along every axis
TABLE_MM: Final = -430.0
OBLIQUE: Final = (0.18, -0.11, 0.23, 0.94)  # turns the axial plane by 38 degrees about no axis in particular
COILS: Final = np.array((1.0, 0.8j, -0.6, 0.7 - 0.4j))  # sensitivities without shading, which would move the beads
LEVEL: Final = 3.0  # of the strongest sample
CARRIERS: Final = ("MRD", "NIfTI", "DICOM")


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of the test."""

    position: str  # HFS, HFP …
    orientation: str  # axial, sagittal, coronal, oblique
    signs: tuple[int, int, int]  # of read, phase and slice direction

    @property
    def name(self) -> str:
        """For tables and file names: HFS_axial_+-+."""
        return f"{self.position}_{self.orientation}_{''.join('+' if sign > 0 else '-' for sign in self.signs)}"

    def planes(self) -> tuple[Plane, ...]:
        """The slices, evenly spaced about CENTRE_MM."""
        grid = Grid((1, 1, 1), (1.0, 1.0, 1.0), CENTRE_MM, *ORIENTATIONS.get(self.orientation, ORIENTATIONS["axial"]))
        if self.orientation == "oblique":
            grid = rotated(grid, rotation_of(OBLIQUE))
        axes = (grid.axes() * np.array(self.signs)).T
        read, phase, slice_ = ((float(x), float(y), float(z)) for x, y, z in axes)
        steps_mm = (np.arange(SCAN.slices) - (SCAN.slices - 1) / 2) * (SCAN.thickness_mm + SCAN.gap_mm)
        centres = np.array(CENTRE_MM) + steps_mm[:, None] * axes[2]
        return tuple(Plane((float(x), float(y), float(z)), read, phase, slice_) for x, y, z in centres)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scan."""

    case: Case
    errors_mm: dict[str, float]  # carrier -> how far the worst bead lies from where it was put
    complaint: str = ""  # what is wrong, in words; "" where nothing is

    @property
    def worst_mm(self) -> float:
        """The worst of all carriers; infinite where a bead could not be found."""
        return max(self.errors_mm.values(), default=np.inf)


def cases() -> tuple[Case, ...]:
    """All scans of the test."""
    signs = tuple(product((1, -1), repeat=3))
    return tuple(Case(*one) for one in product(DEVICE_FROM_PATIENT, (*ORIENTATIONS, "oblique"), signs))


def raw(case: Case, number: int = 1) -> tuple[str, Readouts]:
    """Header XML and all readouts of one scan, free of noise."""
    lines, planes = acquired_lines(SCAN), case.planes()
    what = plan(SCAN, len(planes))
    order = Order(f"geometry_{case.name}", number, case.position, table=Table(TABLE_MM, TABLE_MM))
    labels = tuple(f"C{coil + 1}" for coil in range(len(COILS)))
    samples = SCAN.matrix[0] * SCAN.oversampling
    k_read = (np.arange(samples) - samples // 2) / (SCAN.fov_mm[0] * SCAN.oversampling)
    k_phase = (what["line"] - SCAN.matrix[1] // 2) / SCAN.fov_mm[1]
    placed = ACCEPTANCE.moved(CENTRE_MM)
    kspace = np.empty((len(what), samples), np.complex128)
    for slice_, plane in enumerate(planes):
        here = what["slice"] == slice_
        kspace[here] = placed.kspace(plane, k_read[None, :], k_phase[here, None])
    kspace *= LEVEL / np.abs(kspace).max()
    data = np.ascontiguousarray(kspace[:, None, :] * COILS[:, None], np.complex64)
    heads = headers(what, SCAN, planes, len(COILS), first_line(lines), order)
    xml = write_header(scan_of(SCAN, lines, len(planes), labels, order))
    return xml, Readouts(heads, np.zeros((len(heads), samples, 0), np.float32), data)


def check(session: Session, which: Iterable[Case], tolerance_mm: float, folder: Path) -> Iterator[Outcome]:
    """Send scans one after another to a server and judge each; NIfTI and DICOM files stay in `folder`."""
    for number, case in enumerate(which, 1):
        xml, readouts = raw(case, number)
        result = play(session, xml, at_once([readouts]), VirtualClock())
        try:
            if not result.images:
                raise SimulationError("; ".join(result.errors) or "no image came")
            series = min(int(arrived.image.header["image_series_index"]) for arrived in result.images)
            images = [a.image for a in result.images if int(a.image.header["image_series_index"]) == series]
            yield judge(case, images, tolerance_mm, folder / case.name)
        except (SimulationError, PeerError) as problem:
            yield Outcome(case, {}, str(problem))


def judge(case: Case, images: list[Image], tolerance_mm: float, folder: Path) -> Outcome:
    """Find the beads by the image headers, by a NIfTI and by a DICOM reader, and compare with the truth.

    Raises SimulationError where a bead is not to be seen or the images are no stack, PeerError for a header without
    geometry.
    """
    stack = stacked(images)
    index = np.indices(stack.grid.matrix).reshape(3, -1).T.astype(np.float64)
    values = np.abs(stack.pixels.T).astype(np.float64).ravel()
    seen = {"MRD": (values, lps_from_pixel(stack.grid, index))}
    folder.mkdir(parents=True, exist_ok=True)
    write_nifti(folder / "beads.nii", stack)
    seen["NIfTI"] = _by_nifti(folder / "beads.nii")
    seen["DICOM"] = _by_dicom(write_dicom(folder / "dicom", stack, case.position))
    truth_mm = ACCEPTANCE.moved(CENTRE_MM)
    found = {name: locate(*voxels, truth_mm) for name, voxels in seen.items()}
    errors_mm = {
        name: float(np.linalg.norm(places - truth_mm.centres_mm, axis=1).max()) for name, places in found.items()
    }
    wrong = [
        f"{name}: {_in_words(found[name], truth_mm.centres_mm, stack, tolerance_mm)}"
        for name, mm in errors_mm.items()
        if not mm <= tolerance_mm
    ]
    return Outcome(case, errors_mm, "; ".join(wrong))


def _by_nifti(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (n,) and their LPS mm (n, 3) as nibabel reads them."""
    import nibabel
    from nibabel.affines import apply_affine

    image = nibabel.load(path)
    index = np.indices(image.shape).reshape(3, -1).T
    ras = apply_affine(image.affine, index)
    return np.asarray(image.dataobj, np.float64).ravel(), ras @ RAS_FROM_LPS[:3, :3]


def _by_dicom(paths: Iterable[Path]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (n,) of the files that pydicom reads, and their LPS mm (n, 3) by equation C.7.6.2.1-1 of PS3.3."""
    import pydicom

    values, points = [], []
    for path in paths:
        dataset = pydicom.dcmread(path)
        along_row, down_column = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = map(float, dataset.PixelSpacing)
        row, column = np.indices(dataset.pixel_array.shape).reshape(2, -1, 1)
        aside_mm = column * along_row * between_columns + row * down_column * between_rows
        values.append(dataset.pixel_array.astype(np.float64).ravel() * float(dataset.RescaleSlope))
        points.append(np.array(dataset.ImagePositionPatient, float) + aside_mm)
    return np.concatenate(values), np.concatenate(points)


def _in_words(found_mm: NDArray[np.float64], truth_mm: NDArray[np.float64], stack: Stacked, tolerance_mm: float) -> str:
    """Tell what would explain where the beads were found: mirrored or swapped axes, or a shift."""
    axes = stack.grid.axes()
    middle = np.array(CENTRE_MM)
    have, want = (found_mm - middle) @ axes, (truth_mm - middle) @ axes

    def fit(way: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[float, int]:
        """What a way to mend the axes leaves, in mm, and how much it mends."""
        left = want - have[:, way[0]] * way[1]
        spread_mm = float(np.linalg.norm(left - left.mean(axis=0), axis=1).max())
        return round(spread_mm, 3), sum(sign < 0 for sign in way[1]) + (way[0] != (0, 1, 2))

    ways = product(permutations(range(3)), product((1, -1), repeat=3))
    order, signs = min(ways, key=fit)
    left, _ = fit((order, signs))
    shift = (want - have[:, order] * signs).mean(axis=0)
    names = ("read", "phase", "slice")
    told = [f"{name}_dir points the wrong way" for name, sign in zip(names, signs, strict=True) if sign < 0]
    if order != (0, 1, 2):
        told.append(f"axes are swapped ({', '.join(names[n] for n in order)})")
    if np.linalg.norm(shift) > tolerance_mm:
        along = ", ".join(f"{mm:+.2f} mm along {name}" for mm, name in zip(-shift, names, strict=True))
        told.append(f"shifted by {along}")
    worst_mm = float(np.linalg.norm(found_mm - truth_mm, axis=1).max())
    rest = f" ({left:.2f} mm unexplained)" if left > tolerance_mm else ""
    return f"a bead lies {worst_mm:.3f} mm off: {', '.join(told) or 'distorted'}{rest}"

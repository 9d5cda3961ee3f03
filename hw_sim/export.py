"""Images as NIfTI and DICOM files, so that other programs can say where they see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hw_sim.errors import SimulationError
from protocols.geometry import Grid, dicom_orientation, dicom_position_mm, dicom_spacing_mm, grid_of, lps_from_pixel
from protocols.messages import Image

__all__ = ["Stacked", "stacked", "write_dicom", "write_nifti"]

UNEVEN_MM: Final = 1e-2  # slices whose distances differ by more are no volume
RAS_FROM_LPS: Final = np.diag((-1.0, -1.0, 1.0, 1.0))
MR_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True, slots=True, eq=False)
class Stacked:
    """Parallel slices as one volume."""

    pixels: NDArray[np.generic]  # (z, y, x)
    grid: Grid
    thickness_mm: float


def stacked(images: Sequence[Image]) -> Stacked:
    """Put 2-D images of one series in the order in which they lie in space, along their slice direction.

    One image may be a volume already. Raises SimulationError for images that are not parallel, equal in size and
    evenly spaced.
    """
    grids = [grid_of(image.header) for image in images]
    if len(grids) == 1 and grids[0].matrix[2] > 1:
        return Stacked(images[0].pixels[0], grids[0], float(grids[0].spacing_mm()[2]))
    if not grids or any(grid.matrix[2] != 1 for grid in grids):
        raise SimulationError(f"{len(grids)} images, wanted 2-D ones of a stack, or one volume")
    first = grids[0]
    if any(not np.allclose(grid.axes(), first.axes(), atol=1e-4) or grid.matrix != first.matrix for grid in grids):
        raise SimulationError("the images of a stack differ in directions or matrix; wanted parallel slices alike")
    places_mm = np.array([grid.position_mm for grid in grids])
    normal = np.array(first.slice_dir)
    order = np.argsort(places_mm @ normal)
    steps_mm = np.diff(places_mm[order], axis=0)
    step_mm = float((steps_mm @ normal).mean()) if len(steps_mm) else first.fov_mm[2]
    if not np.allclose(steps_mm, step_mm * normal, atol=UNEVEN_MM):
        raise SimulationError(f"slices {np.round(steps_mm, 2).tolist()} mm apart; wanted even steps along slice_dir")
    count = len(grids)
    x, y, _ = first.matrix
    position_mm = grids[order[count // 2]].position_mm
    fov_mm = (first.fov_mm[0], first.fov_mm[1], step_mm * count)
    grid = replace(first, matrix=(x, y, count), fov_mm=fov_mm, position_mm=position_mm)
    return Stacked(np.stack([images[n].pixels[0, 0] for n in order]), grid, first.fov_mm[2])


def write_nifti(path: Path, stack: Stacked) -> None:
    """Write a volume as NIfTI-1, voxels (x, y, z), sform and qform alike, RAS mm."""
    import nibabel

    corners = np.array(((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)), float)
    origin, *steps = lps_from_pixel(stack.grid, corners)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step - origin for step in steps] + [origin])
    image = nibabel.Nifti1Image(stack.pixels.T, RAS_FROM_LPS @ affine)
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_dicom(folder: Path, stack: Stacked, patient_position: str, series: int = 1) -> tuple[Path, ...]:
    """Write a volume as one MR Image Storage file a slice; returns the files in the order of the slices."""
    from pydicom.uid import generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    whole = np.abs(stack.pixels).astype(np.float64)
    slope = max(float(whole.max()), 1e-12) / 65535 if stack.pixels.dtype != np.uint16 else 1.0
    uids = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for number, values in enumerate(np.rint(whole / slope).astype("<u2")):
        dataset = _dataset(uids, series, number)
        dataset.PatientPosition = patient_position
        _write_geometry(dataset, stack, number)
        _write_pixels(dataset, values, slope)
        paths.append(folder / f"slice_{number:03d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return tuple(paths)


def _dataset(uids: tuple[str, str, str], series: int, number: int) -> Any:
    """What is the same for every image but its place and pixels; nobody's name."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MR_IMAGE
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = uids
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.Modality = series, number + 1, "MR"
    dataset.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.MRAcquisitionType = "GR", "NONE", "2D"
    for empty in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, empty, "")
    for empty in ("AccessionNumber", "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator"):
        setattr(dataset, empty, "")
    for empty in ("ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength"):
        setattr(dataset, empty, None)
    return dataset


def _write_geometry(dataset: Any, stack: Stacked, number: int) -> None:
    """Where the pixels of a slice lie; PS3.3 C.7.6.2."""
    from pydicom.valuerep import format_number_as_ds

    def decimals(values: Iterable[float]) -> list[str]:
        return [format_number_as_ds(float(value)) for value in values]

    dataset.ImageOrientationPatient = decimals(dicom_orientation(stack.grid))
    dataset.ImagePositionPatient = decimals(dicom_position_mm(stack.grid, number))
    dataset.PixelSpacing = decimals(dicom_spacing_mm(stack.grid))
    (dataset.SliceThickness,) = decimals((stack.thickness_mm,))
    (dataset.SpacingBetweenSlices,) = decimals((stack.grid.spacing_mm()[2],))


def _write_pixels(dataset: Any, values: NDArray[np.uint16], slope: float) -> None:
    from pydicom.valuerep import format_number_as_ds

    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = format_number_as_ds(slope), "0"
    dataset.PixelData = values.tobytes()

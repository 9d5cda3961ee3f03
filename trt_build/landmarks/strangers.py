"""Heads from elsewhere with their landmarks: any NIfTI volume with a mask of its brain, Colin27, the MNI template.

Truth of a head of your own, as it stands in strangers.json: python -m trt_build.landmarks.strangers HEAD BRAIN
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import typer
from numpy.typing import NDArray

from hw_sim.landmarks import MNI_MM
from trt_build.data.errors import DataError
from trt_build.landmarks.heads import EXTENT, NAMES, Subject, subject_of
from trt_build.landmarks.registration import Volume, halved, template
from trt_build.landmarks.truth import RAS, truth_in

__all__ = ["FACELESS", "STRANGERS", "stranger", "volume_of"]

FOLDER: Final = Path("/usr/share/mricron/templates")  # Debian's mricron-data
COLIN27: Final = (FOLDER / "ch2.nii.gz", FOLDER / "ch2bet.nii.gz")  # Holmes et al., J Comput Assist Tomogr 1998; 22:324
FACELESS: Final = "MNI template"  # nothing but a brain: skull and skin are rings about it
STRANGERS: Final = ("Colin27", FACELESS)
KNOWN: Final = Path(__file__).with_suffix(".json")  # truth of Colin27: numbers, no volume
Known = tuple[Mapping[str, Sequence[float]], Sequence[Sequence[float]]]  # places, turn of the reference pose
FINE_MM: Final = 1.5  # voxels below which they are averaged by twos: truth is found on 2 mm, as for all heads


def stranger(name: str) -> Subject | None:
    """One of STRANGERS; None where its volume is not there. Raises DataError."""
    if name == FACELESS:
        voxels, affine = template()
        places = {mark: (np.array(place) * RAS).tolist() for mark, place in MNI_MM.items()}
        return _written(name, (voxels, affine), voxels > 0, (places, np.eye(3).tolist()))
    if not all(path.exists() for path in COLIN27):
        return None
    known = json.loads(KNOWN.read_text())[name]
    return volume_of(*COLIN27, (known["places"], known["turn"]))


def volume_of(head: Path, brain: Path, known: Known | None = None) -> Subject:
    """A head of a NIfTI file and of a mask of its brain on the same grid.

    Landmarks and reference pose are found by registration as for all heads, where they are not known. Raises DataError
    for files that cannot be read or do not fit.
    """
    volume, mask = _read(head), _read(brain)
    if volume[0].shape != mask[0].shape:
        raise DataError(f"{brain}: got a mask {mask[0].shape} for a volume {volume[0].shape}, wanted the same grid")
    if np.linalg.norm(volume[1][:3, :3], axis=0).max() < FINE_MM:
        volume, mask = halved(*volume), halved((mask[0] > 0).astype(np.float32), mask[1])
    return _written(head.name.split(".nii")[0], volume, mask[0] >= 0.5, known)


def _read(path: Path) -> Volume:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        voxels = np.squeeze(np.asarray(image.dataobj, np.float32))
    except (OSError, EOFError, ValueError, ImageFileError) as problem:
        raise DataError(f"{path}: not a readable NIfTI file ({problem}); copy it again") from problem
    if voxels.ndim != 3:
        raise DataError(f"{path}: got {voxels.ndim} dimensions {voxels.shape}, wanted a volume (i, j, k)")
    return voxels, np.array(image.affine, np.float64)


def _written(name: str, volume: Volume, brain: NDArray[np.bool_], known: Known | None) -> Subject:
    """A subject by way of files, as all heads come."""
    import nibabel

    voxels, affine = volume
    with TemporaryDirectory() as folder:
        head, mask = Path(folder) / "head.nii", Path(folder) / "brain.nii"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), head)
        nibabel.save(nibabel.Nifti1Image(brain.astype(np.uint8), affine), mask)
        if known is None:
            found = truth_in(template(), head, mask, twice=True)
            known = found.places, found.turn
        return subject_of(name, head, mask, *known)


def _told(head: Path, brain: Path) -> str:
    """What is known of a head then, LPS mm of its file."""
    subject = volume_of(head, brain)
    turn = np.eye(3) if subject.turn is None else subject.turn
    rows = zip(NAMES, np.round(subject.places_mm, 2).tolist(), strict=True)
    places = {name: place for name, place in rows if name not in EXTENT and np.isfinite(place).all()}
    return json.dumps({subject.name: {"places": places, "turn": turn.tolist()}}, indent=0)


if __name__ == "__main__":
    typer.echo(_told(Path(sys.argv[1]), Path(sys.argv[2])))

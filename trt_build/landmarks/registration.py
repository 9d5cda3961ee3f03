"""Where the template's landmarks lie in a head: registration of its brain, affine first, then by demons."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trt_build.data.errors import DataError

__all__ = ["Volume", "carried", "halved", "template", "turned_by"]

Volume = tuple[NDArray[np.float32], NDArray[np.float64]]  # (i, j, k), voxel to RAS mm (4, 4)
SMOOTH: Final = 1.6  # of the displacements, voxels
STEPS: Final = 30  # of the demons, each time
AROUND_MM: Final = 24.0  # that demons see beyond the outermost point


def template() -> Volume:
    """Brain of the symmetric MNI ICBM152 2009 template (Fonov et al., NeuroImage 2011; 54:313), voxels of 2 mm.

    It comes with nilearn. Raises DataError where that is not installed.
    """
    import nibabel

    spec = find_spec("nilearn")
    folder = Path(str(spec.origin)).parent / "datasets" / "data" if spec else Path("nilearn")
    path = folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    if not path.exists():
        raise DataError(f"the MNI template {path.name} is not there: pip install 'scanside[sim]'")
    image = nibabel.as_closest_canonical(nibabel.load(path))
    return halved(np.asarray(image.dataobj, np.float32), np.array(image.affine, np.float64))


def halved(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> Volume:
    """A volume of half as many voxels each way, each the mean of eight; an odd one at the end is left."""
    even = [size - size % 2 for size in voxels.shape]
    halves = voxels[: even[0], : even[1], : even[2]].reshape(even[0] // 2, 2, even[1] // 2, 2, even[2] // 2, 2)
    coarse = affine.copy()
    coarse[:3, 3] += affine[:3, :3].sum(axis=1) / 2
    coarse[:3, :3] *= 2
    return halves.mean((1, 3, 5)), coarse


def carried(places: NDArray[np.float64], fixed: Volume, moving: Volume) -> NDArray[np.float64]:
    """Points (n, 3), RAS mm, of the fixed brain to where they lie in the moving one; both are zero outside the brain.

    Mattes' mutual information for an affine transform, then demons on matched histograms.
    """
    sitk = _library()

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    template_image, head = _image(fixed), _image(moving)
    rigid = _rigid(template_image, head)
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    _improve(affine, template_image, head, (4, 2), 60)
    middle = sitk.RegionOfInterest(template_image, *_around(template_image, places))
    brought = sitk.Resample(head, middle, affine, sitk.sitkLinear, 0.0)
    bent = _bent(middle, sitk.HistogramMatching(brought, middle, 128, 12))
    flat = np.array([affine.TransformPoint(bent.TransformPoint((-x, -y, z))) for x, y, z in places.tolist()])
    return flat * (-1, -1, 1)


def turned_by(fixed: Volume, moving: Volume) -> NDArray[np.float64]:
    """Rotation (3, 3) of LPS axes from the fixed brain to the moving one: that of the similarity that fits best.

    Mattes' mutual information; the mean of the head's and of its mirror image's, as the template is symmetric.
    """
    voxels, affine = moving
    one, mirrored = (_turn(fixed, (part, affine)) for part in (voxels, np.ascontiguousarray(voxels[::-1])))
    across = np.diag((-1.0, 1.0, 1.0))
    left, _, right = np.linalg.svd(one + across @ mirrored @ across)
    return left @ right


def _turn(fixed: Volume, moving: Volume) -> NDArray[np.float64]:
    sitk = _library()

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    template_image, head = _image(fixed), _image(moving)
    rigid = _rigid(template_image, head)
    found = sitk.Similarity3DTransform()
    found.SetMatrix(rigid.GetMatrix())
    found.SetTranslation(rigid.GetTranslation())
    found.SetCenter(rigid.GetCenter())
    _improve(found, template_image, head, (4, 2), 60)
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    return matrix / np.cbrt(np.linalg.det(matrix))


def _rigid(fixed: Any, moving: Any) -> Any:
    """A rigid transform from one image to another."""
    sitk = _library()

    first = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    rigid = sitk.Euler3DTransform(first)
    _improve(rigid, fixed, moving, (4,), 40)
    return rigid


def _library() -> Any:
    """SimpleITK; raises DataError where it is not installed."""
    try:
        return import_module("SimpleITK")
    except ImportError as missing:
        raise DataError("registration needs SimpleITK: pip install 'scanside[build]'") from missing


def _improve(first: Any, fixed: Any, moving: Any, shrinks: tuple[int, ...], steps: int) -> None:
    """Optimise a transform, in place."""
    sitk = _library()

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.5)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, steps, 0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrinks)
    method.SetSmoothingSigmasPerLevel([float(shrink) for shrink in shrinks])
    method.SetInitialTransform(first, inPlace=True)
    method.Execute(fixed, moving)


def _around(image: Any, places: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Size and first voxel of the box that holds places (n, 3), RAS mm, with room."""
    corners = np.array([places.min(0) - AROUND_MM, places.max(0) + AROUND_MM]) * (-1, -1, 1)
    voxels = np.array([image.TransformPhysicalPointToContinuousIndex(corner) for corner in corners.tolist()])
    low = np.maximum(np.floor(voxels.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(voxels.max(0)) + 1, image.GetSize()).astype(int)
    return (high - low).tolist(), low.tolist()


def _bent(fixed: Any, moving: Any) -> Any:
    """Displacements from one image to another by diffeomorphic demons: Vercauteren et al., NeuroImage 2009; 45:S61."""
    sitk = _library()

    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetStandardDeviations(SMOOTH)
    demons.SetNumberOfIterations(STEPS)
    field = None
    for sigma, shrink in ((2.0, 2), (1.0, 1)):
        near, far = (
            sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, sigma), [shrink] * 3) for image in (fixed, moving)
        )
        field = demons.Execute(near, far) if field is None else demons.Execute(near, far, sitk.Resample(field, near))
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def _image(volume: Volume) -> Any:
    """The same volume for SimpleITK, which counts in LPS mm."""
    sitk = _library()

    voxels, affine = volume
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3] / spacing
    image.SetSpacing(spacing.tolist())
    image.SetDirection(lps.ravel().tolist())
    image.SetOrigin((affine[:3, 3] * (-1, -1, 1)).tolist())
    return image

"""Heads that nothing was made of: what is found in them is their own, and their files may be of any axes."""

import nibabel
import numpy as np
import pytest

from trt_build.landmarks.heads import NAMES
from trt_build.landmarks.positions import Options, _some
from trt_build.landmarks.strangers import FACELESS, stranger, volume_of


def judged(name, tmp_path):
    if stranger(name) is None:
        pytest.skip("Colin27 is not there: apt-get install mricron-data")
    (row,) = _some((Options(tmp_path, tmp_path), name, 3, 4))
    return row


def test_a_head_from_elsewhere_is_found_as_those_of_the_training_are(tmp_path):
    row = judged("Colin27", tmp_path)
    assert row.status["brain_axial"] == "OK"
    assert "REFUSED" not in row.status.values()
    assert row.mm < 2.5
    assert row.deg < 2.0


def test_a_head_without_eyes_is_found_but_for_its_orbits(tmp_path):
    row = judged(FACELESS, tmp_path)
    assert row.status["brain_axial"] == "OK"
    assert row.status["orbits"] == "REFUSED"
    assert row.mm < 2.5
    assert row.deg < 2.0


def test_a_head_is_the_same_whatever_the_axes_of_its_file(tmp_path):
    chance = np.random.default_rng(0)
    known = ({name: chance.uniform(-30, 30, 3).tolist() for name in NAMES[:13]}, np.eye(3).tolist())
    voxels = ndball()
    made = []
    for name, flipped in (("one", voxels), ("other", voxels.transpose(2, 0, 1)[::-1])):
        affine = np.diag((3.0, 3.0, 3.0, 1.0))
        if name == "other":
            affine = affine @ np.array([[0, 1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, len(flipped) - 1], [0, 0, 0, 1.0]])
        paths = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_brain.nii.gz"
        nibabel.save(nibabel.Nifti1Image(flipped, affine), paths[0])
        nibabel.save(nibabel.Nifti1Image((flipped > 0.7).astype(np.uint8), affine), paths[1])
        made.append(volume_of(*paths, known))
    np.testing.assert_allclose(made[0].t1, made[1].t1, atol=1e-6)
    np.testing.assert_allclose(made[0].affine, made[1].affine)
    np.testing.assert_array_equal(made[0].brain, made[1].brain)


def ndball():
    """A lopsided ball (i, j, k) with a brighter one inside, in noise."""
    i, j, k = np.indices((40, 44, 36)) - np.array((19, 20, 18))[:, None, None, None]
    away = np.sqrt(i**2 + (0.8 * j) ** 2 + k**2 + 3 * (i > 4))
    shown = 0.5 * (away < 16) + 0.5 * (away < 10)
    return (shown + 0.02 * np.random.default_rng(1).standard_normal(shown.shape)).astype(np.float32)

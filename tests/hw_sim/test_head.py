import nibabel
import numpy as np
import pytest

from hw_sim.errors import SimulationError
from hw_sim.head import load_nifti, mni_head


@pytest.fixture(scope="session")
def head():
    return mni_head()


def brightness(tissue):
    return {"white": 3.0, "grey": 2.0, "csf": 1.0, "fat": 10.0, "gel": 10.0}.get(tissue.name, 0.0)


def test_the_head_has_its_middle_at_the_isocentre_and_fits_a_field_of_view(head):
    axis = np.arange(-150.0, 151.0, 3.0)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    filled = grid[head.image(grid, lambda tissue: float(tissue.name != "bone")) > 0.5]
    assert np.abs(filled.max(axis=0) + filled.min(axis=0)).max() < 20
    assert (np.ptp(filled, axis=0) > 140).all()
    assert np.abs(filled).max() < head.radius_mm


def test_the_capsule_on_the_right_temple_tells_right_from_left(head):
    x = np.arange(-110.0, 111.0)
    line = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=-1)
    grid = line + np.array([[[0.0, dy, dz]] for dy in range(-60, 61, 4) for dz in range(-60, 61, 4)])
    bright = head.image(grid, brightness) > 9
    sides = (grid[..., 0] < 0, grid[..., 0] > 0)
    reach = [np.where(bright & side, np.abs(grid[..., 0]), 0).max(axis=1) for side in sides]
    right_further = reach[0] - reach[1]  # LPS: right is negative
    assert right_further.max() > 6
    assert right_further.min() > -3


def test_fractions_never_exceed_one(head):
    assert head.fractions.sum(axis=0, dtype=np.int32).max() <= 255


def test_face_is_anterior_and_vertex_is_towards_the_head(head):
    axis = np.arange(-100.0, 101.0, 4.0)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    brain = head.image(grid, lambda tissue: float(tissue.name in {"grey", "white"})) > 0.5
    lower = grid[brain & (grid[..., 2] < -60)]
    assert lower[:, 1].mean() > 0  # brain stem and cerebellum lie behind the middle: posterior is positive


def test_any_nifti_is_a_patient(tmp_path):
    voxels = np.zeros((20, 24, 16), np.float32)
    voxels[4:16, 4:20, 4:12] = 900
    voxels[4:6, 4:20, 4:12] = 550
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([5.0, 5, 5, 1])), tmp_path / "head.nii.gz")
    volume = load_nifti(tmp_path / "head.nii.gz")
    middle = volume.image(np.zeros((1, 3)), brightness)
    assert middle[0] == pytest.approx(3.0, abs=0.2)
    # The darker side has small x in RAS (left), which is large x in LPS.
    assert (
        volume.image(np.array([[26.0, 0, 0]]), brightness)[0] < volume.image(np.array([[-26.0, 0, 0]]), brightness)[0]
    )


def test_what_is_not_a_nifti_is_one_clear_error(tmp_path):
    path = tmp_path / "head.nii"
    path.write_text("nothing")
    with pytest.raises(SimulationError, match="not a readable NIfTI file"):
        load_nifti(path)
    with pytest.raises(SimulationError, match="not a readable NIfTI file"):
        load_nifti(tmp_path / "absent.nii")

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


def block():
    """A head as simple as can be, darker at small x."""
    voxels = np.zeros((20, 24, 16), np.float32)
    voxels[4:16, 4:20, 4:12] = 900
    voxels[4:6, 4:20, 4:12] = 550
    return voxels


def kept(folder, voxels):
    """A NIfTI file of voxels of 5 mm."""
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([5.0, 5.0, 5.0, 1.0])), folder / "head.nii.gz")
    return folder / "head.nii.gz"


def test_any_nifti_is_a_patient(tmp_path):
    volume = load_nifti(kept(tmp_path, block()))
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


@pytest.mark.parametrize("further", [(1,), (1, 1)])
def test_further_axes_of_length_1_change_nothing(further, tmp_path):
    wanted = load_nifti(kept(tmp_path, block()))
    got = load_nifti(kept(tmp_path, block().reshape(20, 24, 16, *further)))
    assert np.array_equal(got.fractions, wanted.fractions)
    assert np.array_equal(got.affine, wanted.affine)


def test_voxels_that_are_no_finite_number_are_air(tmp_path):
    voxels = block()
    wanted = load_nifti(kept(tmp_path, voxels))
    voxels[:3], voxels[:, :2], voxels[..., :2] = np.nan, np.inf, -np.inf
    assert np.array_equal(load_nifti(kept(tmp_path, voxels)).fractions, wanted.fractions)


@pytest.mark.parametrize(
    ("voxels", "match"),
    [
        (np.zeros((8, 8, 8), np.float32), r"none of \(8, 8, 8\) voxels is above 0, wanted a head"),
        (np.full((8, 8, 8), -5.0, np.float32), "is above 0"),
        (np.full((8, 8, 8), np.nan, np.float32), "is above 0"),
        (np.zeros((8, 0, 8), np.float32), "is above 0"),
        (np.pad(np.ones((1, 1, 1), np.float32), (1, 6)), "as large as a head"),
        (block()[..., 0], r"got 2 dimensions \(20, 24\), wanted a volume"),
        (np.stack([block()] * 2, axis=-1), r"got 4 dimensions \(20, 24, 16, 2\), wanted a volume"),
        (np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "not a readable NIfTI file"),
    ],
)
def test_a_volume_that_is_no_head_is_one_clear_error_with_its_file(voxels, match, tmp_path):
    with pytest.raises(SimulationError, match=rf"head.nii.gz: .*{match}"):
        load_nifti(kept(tmp_path, voxels))


def test_a_volume_whose_header_gives_it_no_place_is_one_clear_error(tmp_path):
    image = nibabel.Nifti1Image(block(), None)
    image.header["sform_code"] = 1  # and its rows are all 0
    image.to_filename(tmp_path / "head.nii")
    with pytest.raises(SimulationError, match="puts it nowhere, wanted voxels with a size in mm"):
        load_nifti(tmp_path / "head.nii")


def test_a_file_that_ends_too_early_is_one_clear_error(tmp_path):
    path = kept(tmp_path, np.random.default_rng(1).random((20, 24, 16), np.float32))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(SimulationError, match="not a readable NIfTI file"):
        load_nifti(path)

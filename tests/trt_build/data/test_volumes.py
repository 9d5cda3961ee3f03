"""A folder of heads is understood as it is, or refused with one clear sentence."""

import gzip

import numpy as np
import pytest

nib = pytest.importorskip("nibabel")

from trt_build.data.errors import DataError  # noqa: E402
from trt_build.data.volumes import WHITE, load_head, open_source  # noqa: E402


def ball(size=32, seed=0):
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, size),) * 3, indexing="ij"))
    radius = np.sqrt((at**2).sum(0))
    volume = 100.0 * (radius < 0.9) + 150 * (radius < 0.6) + 100 * (radius < 0.3)
    return (volume + np.random.default_rng(seed).normal(0, 2, volume.shape)).astype(np.float32)


def write(path, voxels, spacing=5.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([spacing, spacing, spacing, 1])), path)


def test_volumes_and_label_maps_find_each_other(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / "t1" / f"{name}_T1.nii.gz", ball())
        write(tmp_path / "seg" / f"{name}_T1_seg.nii.gz", (ball() > 60).astype(np.uint8))
    found = [open_source(tmp_path, split) for split in ("train", "validation", "test")]
    assert sorted(name for source in found for name in source.subjects) == ["a", "b", "c"]
    assert all(labels is not None and "seg" in labels.name for source in found for _, labels in source.files)
    found[0].read_all()
    assert found[0].head(0).levels[2] == WHITE
    assert found[0].head(0).regions.max() == 1


def test_two_volumes_are_one_to_train_and_one_to_validate_on(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.nii", ball())
    splits = [open_source(tmp_path, split, seed=5).subjects for split in ("train", "validation", "test")]
    assert [len(subjects) for subjects in splits] == [1, 1, 0]
    assert splits[0] == open_source(tmp_path, "train", seed=5).subjects


def test_a_split_by_subject_is_kept(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.nii", ball())
    (tmp_path / "split.csv").write_text("subject,split\na,validation\nb,train\nc,test\n")
    assert open_source(tmp_path, "train").subjects == ("b",)
    (tmp_path / "split.csv").write_text("who,where\na,train\n")
    with pytest.raises(DataError, match="wanted 'subject' and 'split'"):
        open_source(tmp_path)
    (tmp_path / "split.csv").write_text("subject,split\na,train\nb,train\nc,test\n")
    with pytest.raises(DataError, match="no subject to validation on"):
        open_source(tmp_path, "validation")


def test_folders_that_cannot_be_trained_on(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no NIfTI volume"):
        open_source(tmp_path)
    write(tmp_path / "only.nii", ball())
    with pytest.raises(DataError, match="one volume"):
        open_source(tmp_path)


def spoiled(voxels):
    voxels[3, 4, 5] = np.nan
    return voxels


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (spoiled(ball()), "1 voxels that are not finite"),
        (np.zeros((32, 32, 32), np.float32), "without contrast"),
        (np.ones((32, 32), np.float32), "wanted a volume"),
    ],
    ids=["not finite", "empty", "a picture"],
)
def test_volumes_that_cannot_be_used(tmp_path, voxels, message):
    write(tmp_path / "a.nii", voxels)
    with pytest.raises(DataError, match=message):
        load_head(tmp_path / "a.nii")


def test_files_that_are_no_volumes(tmp_path):
    (tmp_path / "words.nii").write_text("this is no volume")
    write(tmp_path / "whole.nii.gz", ball())
    (tmp_path / "half.nii.gz").write_bytes((tmp_path / "whole.nii.gz").read_bytes()[:4000])
    (tmp_path / "noise.nii.gz").write_bytes(gzip.compress(b"0" * 2000)[:-4] + b"1234")
    for name in ("words.nii", "half.nii.gz", "noise.nii.gz", "missing.nii"):
        with pytest.raises(DataError, match="not a readable NIfTI file"):
            load_head(tmp_path / name)


def test_labels_of_another_grid(tmp_path):
    write(tmp_path / "a.nii", ball())
    write(tmp_path / "b.nii", ball(24).astype(np.uint8))
    with pytest.raises(DataError, match="the same grid"):
        load_head(tmp_path / "a.nii", tmp_path / "b.nii")

"""Heads for tests: balls in balls, as NIfTI volumes in a folder with a split."""

import numpy as np
import pytest

nib = pytest.importorskip("nibabel")


def ball(size=40):
    """A head (i, j, k) of three shells that is no more symmetric than heads are."""
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, size),) * 3, indexing="ij"))
    radius = np.sqrt((at**2 * np.array([1.4, 1.0, 1.2])[:, None, None, None]).sum(0))
    nose = np.sqrt(((at - np.array([0.1, 0.5, 0.2])[:, None, None, None]) ** 2).sum(0))
    return (100.0 * (radius < 0.9) + 150 * (radius < 0.6) + 100 * (nose < 0.2)).astype(np.float32)


def write_heads(folder, spacing=5.0):
    """One subject for each split."""
    affine = np.diag([spacing, spacing, spacing, 1])
    for split in ("train", "validation", "test"):
        nib.save(nib.Nifti1Image(ball(), affine), folder / f"{split}_T1.nii")
        nib.save(nib.Nifti1Image((ball() > 180).astype(np.uint8), affine), folder / f"{split}_seg.nii")
    (folder / "split.csv").write_text(
        "subject,split\n" + "".join(f"{s},{s}\n" for s in ("train", "validation", "test"))
    )
    return folder

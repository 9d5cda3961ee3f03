"""Laws of what the network is shown: scale does not matter, and each artefact stands out where it should."""

import numpy as np
import pytest

from engines.artefacts.names import BORDER
from engines.artefacts.planes import IMAGE, SPECTRUM, planes_of
from engines.linear.fourier import to_image, to_kspace


def head(rows=96, columns=80, noise=0.02, seed=0, shift=(0.0, 0.0)):
    """An object with a smooth phase that belongs to the scanner, shifted by a share of the field of view."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    at_y, at_x = y - 2 * shift[0], x - 2 * shift[1]
    signal = (np.hypot(at_y / 0.8, at_x / 0.7) < 1) * (1 + 0.2 * np.sin(9 * at_y) * np.cos(7 * at_x))
    parts = noise * np.random.default_rng(seed).standard_normal((2, rows, columns))
    return (signal * np.exp(1j * (1 + y + 0.7 * x * y)) + parts[0] + 1j * parts[1]).astype(np.complex64)


def moved(shift, first=48 + 16):
    """The lines from `first` on show the object elsewhere."""
    lines = to_kspace(head(noise=0.0), 0)
    lines[first:] = to_kspace(head(noise=0.0, shift=shift), 0)[first:]
    return to_image(lines, 0) + head(noise=0.02) - head(noise=0.0)


def symmetry(image):
    """How opposite points of k-space agree where there is signal: in the twelve lines and columns about the centre."""
    spectrum = planes_of(image)["spectrum"][0]
    return spectrum[2, 18:30, 14:26], spectrum[2, 31:44, 14:26]


@pytest.mark.parametrize("factor", [1e-4, 3.0, 2048.0])
def test_the_scale_of_an_image_does_not_matter(factor):
    one, other = planes_of(head()), planes_of(head() * np.float32(factor))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("rows", "columns"), [(96, 80), (97, 81), (33, 111)])
def test_planes_are_finite_of_single_precision_and_padded(rows, columns):
    planes = planes_of(head(rows, columns))
    y, x = (-(-size // BORDER) * BORDER for size in (rows, columns))
    assert planes["image"].shape == (1, IMAGE, y, x)
    assert planes["spectrum"].shape == (1, SPECTRUM, y // 2, x // 2)
    for plane in planes.values():
        assert plane.dtype == np.float32
        assert np.isfinite(plane).all()


def test_an_empty_image_has_planes_too():
    assert all(np.isfinite(plane).all() for plane in planes_of(np.zeros((32, 32), np.complex64)).values())


def test_a_single_sample_of_k_space_is_the_strongest_point_of_the_spectrum_away_from_its_middle():
    lines = to_kspace(to_kspace(head(), 0), 1)
    lines[48 + 20, 40 + 22] += 3.0
    spoilt = to_image(to_image(lines, 0), 1)
    against, clean = (planes_of(image)["spectrum"][0, 1] for image in (spoilt, head()))
    for plane in (against, clean):
        plane[48 // 2 - 6 : 48 // 2 + 6, 40 // 2 - 6 : 40 // 2 + 6] = 0
    assert np.unravel_index(against.argmax(), against.shape) == ((48 + 20) // 2, (40 + 22) // 2)
    assert against.max() > 1.5 * clean.max()


def test_a_column_of_interference_is_the_odd_one():
    spoilt = head()
    spoilt[:, 33] *= 1.3
    odd, clean = (planes_of(image)["image"][0, 2] for image in (spoilt, head()))
    assert (odd == odd[0]).all()
    assert odd[0].argmax() == 33
    assert odd[0, 33] > 3 * abs(clean[0, 33])


def test_a_still_object_of_smooth_phase_is_real_and_its_k_space_symmetric():
    imaginary = planes_of(head(noise=1e-4))["image"][0, 3]
    real = planes_of(head())["image"][0, 1]
    assert imaginary[real < 0.2].std() < 2  # noise alone, in its own units
    assert min(half.min() for half in symmetry(head(noise=0.0))) > 0.7


@pytest.mark.parametrize("shift", [(0.02, 0.0), (0.0, 0.02)])
def test_an_object_that_moved_between_lines_is_not(shift):
    still, spoilt = (planes_of(image)["image"][0, 3] for image in (head(), moved(shift)))
    assert np.square(spoilt).mean() > 1.5 * np.square(still).mean()
    (_, before), (_, after) = symmetry(head()), symmetry(moved(shift))
    assert after.mean() < before.mean() - 0.3

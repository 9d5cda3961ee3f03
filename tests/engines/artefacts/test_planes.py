"""Laws of what the network is shown: scale does not matter, and each artefact stands out where it should."""

import numpy as np
import pytest

from engines.artefacts.names import BORDER
from engines.artefacts.planes import planes_of


def head(rows=96, columns=80, noise=0.02, seed=0):
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    signal = (np.hypot(y / 0.8, x / 0.7) < 1) * (1 + 0.2 * np.sin(9 * y) * np.cos(7 * x))
    parts = noise * np.random.default_rng(seed).standard_normal((2, rows, columns))
    return np.abs(signal + parts[0] + 1j * parts[1]).astype(np.float32)


@pytest.mark.parametrize("factor", [1e-4, 3.0, 2048.0])
def test_the_scale_of_an_image_does_not_matter(factor):
    one, other = planes_of(head()), planes_of(head() * np.float32(factor))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("rows", "columns"), [(96, 80), (97, 81), (33, 111)])
def test_planes_are_finite_of_single_precision_and_padded(rows, columns):
    planes = planes_of(head(rows, columns))
    y, x = (-(-size // BORDER) * BORDER for size in (rows, columns))
    assert planes["image"].shape == (1, 3, y, x)
    assert planes["spectrum"].shape == (1, 2, y // 2, x // 2)
    for plane in planes.values():
        assert plane.dtype == np.float32
        assert np.isfinite(plane).all()


def test_an_empty_image_has_planes_too():
    assert all(np.isfinite(plane).all() for plane in planes_of(np.zeros((32, 32), np.uint16)).values())


def test_a_single_sample_of_k_space_is_the_strongest_point_of_the_spectrum_away_from_its_middle():
    y, x = np.mgrid[:96, :80]
    wave = (0.1 * np.cos(2 * np.pi * (20 * y / 96 + 22 * x / 80))).astype(np.float32)
    against = planes_of(head() * (1 + wave))["spectrum"][0, 1, :, 8:]
    row, column = np.unravel_index(against.argmax(), against.shape)
    assert (row, column + 8) == ((20 + 48) // 2, 22)
    assert against.max() > 1.5 * planes_of(head())["spectrum"][0, 1, :, 8:].max()


def test_a_column_of_interference_is_the_odd_one():
    spoilt = head()
    spoilt[:, 33] += 0.3
    odd, clean = (planes_of(image)["image"][0, 2] for image in (spoilt, head()))
    assert (odd == odd[0]).all()
    assert odd[0].argmax() == 33
    assert odd[0, 33] > 3 * abs(clean[0, 33])

"""Laws of overhang: what a scout shows beyond a field of view is told in mm, in the slices where it is."""

from dataclasses import replace

import numpy as np
import pytest

from engines.quality.overhang import Slab, overhang, skin

AFFINE = np.array([[4.0, 0, 0, -126], [0, 4.0, 0, -126], [0, 0, 4.0, -126], [0, 0, 0, 1]])
SLICE = Slab(np.zeros(3), np.array((0.0, 1.0, 0.0)), np.array((0.0, 0.0, 1.0)), 4.0, 240.0, 240.0)


def ball(radii=(80.0, 100.0, 90.0), middle=(0.0, 0.0, 0.0), seed=1):
    """An ellipsoid (z, y, x) of radii and middle in mm along x, y, z, in noise."""
    places = np.stack(np.meshgrid(*[np.arange(64) * 4.0 - 126] * 3, indexing="ij"))[::-1]
    inside = sum(((axis - at) / radius) ** 2 for axis, at, radius in zip(places, middle, radii, strict=True)) < 1
    return (100 * inside + 3 * np.abs(np.random.default_rng(seed).standard_normal(inside.shape))).astype(np.float32)


def over(pixels=None, **slab):
    pixels = ball() if pixels is None else pixels
    arrays = {name: np.array(given) if isinstance(given, tuple) else given for name, given in slab.items()}
    return overhang(skin(pixels, AFFINE), replace(SLICE, **arrays))


@pytest.mark.parametrize("fov_mm", [240.0, 200.0, 150.0])
def test_a_body_reaches_as_far_beyond_the_field_of_view_as_it_is_longer(fov_mm):
    found, cut = over(encoded_mm=fov_mm, shown_mm=fov_mm)
    assert found == pytest.approx(100 - fov_mm / 2, abs=4)
    assert not cut


def test_only_the_part_in_the_slice_counts_and_where_its_middle_lies():
    assert over(centre_mm=(0.0, 0.0, 80.0))[0] == pytest.approx(100 * (1 - (80 / 90) ** 2) ** 0.5 - 120, abs=6)
    assert over(centre_mm=(0.0, 15.0, 0.0))[0] == pytest.approx(-5, abs=4)
    assert over(phase_dir=(1.0, 0.0, 0.0))[0] == pytest.approx(-40, abs=4)
    assert over(centre_mm=(0.0, 0.0, 110.0)) is None


def test_what_is_encoded_but_not_shown_may_be_folded_over():
    assert over(encoded_mm=200.0, shown_mm=160.0)[0] == pytest.approx(100 - 120, abs=4)


def test_a_scout_that_ends_before_the_body_says_so():
    assert over(ball(middle=(0.0, 60.0, 0.0)), encoded_mm=300.0, shown_mm=300.0)[1]


def test_a_spark_in_the_air_is_no_body():
    pixels = ball()
    pixels[32, 62, 32] = 300
    assert over(pixels)[0] == pytest.approx(-20, abs=4)

"""Laws of the phantom's figures: sizes to a fraction of a pixel under any shading, known shading, ghosts and noise."""

import numpy as np
import pytest

from engines.quality.acr import find_disc, ghosting_percent, snr, span_mm, uniformity_percent

SIZE, PIXEL = 256, (1.0, 1.0)


def disc(diameter=190.0, middle=(0.0, 0.0), slope=0.0, noise=0.0, seed=0):
    """A round phantom with soft edges, a slope of brightness across it (1/mm), and noise of magnitudes."""
    fine = 4
    y, x = (np.mgrid[: fine * SIZE, : fine * SIZE] + 0.5) / fine - SIZE / 2
    inside = np.hypot(y - middle[0], x - middle[1]) <= diameter / 2
    image = (1000 * inside * (1 + slope * x)).reshape(SIZE, fine, SIZE, fine).mean(axis=(1, 3))
    parts = np.random.default_rng(seed).standard_normal((2, SIZE, SIZE)) * noise
    return np.abs(image + parts[0] + 1j * parts[1]).astype(np.float32)


@pytest.mark.parametrize("middle", [(0.0, 0.0), (4.3, -6.7)])
@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 135.0])
@pytest.mark.parametrize("wide", [186.4, 190.0])
def test_a_diameter_is_right_to_a_third_of_a_pixel_wherever_the_phantom_lies_and_however_it_is_shaded(
    middle, angle, wide
):
    pixels = disc(wide, middle, slope=0.003, noise=15)
    assert span_mm(pixels, find_disc(pixels), PIXEL, angle) == pytest.approx(wide, abs=0.35)


def test_pixels_that_are_not_square_are_counted_in_mm():
    pixels = disc()[::2]
    assert span_mm(pixels, find_disc(pixels), (2.0, 1.0), 90.0) == pytest.approx(190, abs=0.7)
    assert span_mm(pixels, find_disc(pixels), (2.0, 1.0), 0.0) == pytest.approx(190, abs=0.35)


@pytest.mark.parametrize(("slope", "percent"), [(0.0, 100.0), (0.001, 92.6), (0.004, 70.3)])
def test_uniformity_is_that_of_the_shading_within_200_square_centimetres(slope, percent):
    pixels = disc(slope=slope)
    assert uniformity_percent(pixels, find_disc(pixels), PIXEL) == pytest.approx(percent, abs=0.7)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05])
def test_a_ghost_along_one_direction_is_its_share_of_the_signal_by_half(share):
    """A half of the two regions is filled where a ghost lies half the field of view away."""
    pixels = disc(180)
    ghosted = pixels + share * np.roll(pixels, SIZE // 2, axis=0)
    found = ghosting_percent(ghosted, find_disc(ghosted), PIXEL)
    assert found == pytest.approx(100 * share, abs=0.02 + 20 * share)


def test_signal_by_noise_is_that_of_the_air_beside_the_phantom():
    pixels = disc(noise=10)
    assert snr(pixels, find_disc(pixels), PIXEL) == pytest.approx(100, rel=0.05)


def test_where_there_is_no_phantom_or_no_air_nothing_is_told():
    assert find_disc(np.zeros((SIZE, SIZE), np.float32)) is None
    full = disc(250)
    assert ghosting_percent(full, find_disc(full), PIXEL) is None
    assert snr(full, find_disc(full), PIXEL) is None
    clean = disc()
    assert snr(clean, find_disc(clean), PIXEL) is None

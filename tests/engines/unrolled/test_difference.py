"""The most striking place in which a network image differs from its companion, in units of that one's noise there."""

from functools import cache

import numpy as np
import pytest

from engines.linear.unfold import prepare_unfolding, unfold
from engines.unrolled.difference import striking_difference
from tests.engines.coils import noise_like, unit_maps
from tests.engines.unrolled.scene import LINES

R, COILS = 4, 8
INSIDE = np.hypot(*(np.mgrid[:LINES, :LINES] - LINES // 2)) < 40


@cache
def unfolding():
    return prepare_unfolding(unit_maps(COILS, LINES, LINES) * INSIDE, R, 0, 0.001)


def unfolded(seed):
    """Noise of an unfolded image (y, x), and what the g-factor says of its level."""
    lines = noise_like((COILS, LINES // R, LINES), seed)
    return unfold(unfolding(), lines), unfolding().noise_std


def patch(size, row=40, column=55):
    y, x = np.mgrid[:LINES, :LINES]
    return (np.abs(y - row) <= size / 2) & (np.abs(x - column) <= size / 2)


def test_the_noise_of_a_linear_image_is_nothing_to_remark_on():
    nothing = np.zeros((LINES, LINES), np.complex64)
    scores = [striking_difference(nothing, unfolded(seed)[0], INSIDE).score for seed in range(30)]
    assert max(scores) < 4.0
    assert min(scores) > 2.0


@pytest.mark.parametrize("size", [3, 6, 12])
def test_what_is_planted_is_found_where_it_was_planted_whatever_the_unit(size):
    noise, level = unfolded(1)
    planted = (patch(size) * 6 * level[40, 55]).astype(np.complex64)
    found = striking_difference(1e3 * planted, 1e3 * noise, INSIDE)
    assert found.score > 4.0
    assert max(abs(found.row - 40), abs(found.column - 55)) <= size
    assert found == striking_difference(1e3 * noise, 1e3 * planted, INSIDE)  # added or left out is the same


def test_it_is_the_noise_of_the_place_that_counts():
    """The same structure stands out where the coils amplify little noise, and not where they amplify much."""
    noise, level = unfolded(2)
    noise = noise * (1 + 4 * (np.arange(LINES) > LINES // 2)).astype(np.float32)
    brightness = np.float32(3 * level[40, 30])
    quiet, loud = (
        striking_difference((patch(6, 40, column) * brightness).astype(np.complex64), noise, INSIDE)
        for column in (30, 66)
    )
    assert quiet.score > 4.0 > loud.score


def test_the_unit_is_the_g_factor_noise():
    """A structure k times as bright as a cell of pixels is noisy scores k, less what it adds to its neighbourhood."""
    level = unfolded(0)[1][40, 55]
    images = [unfolded(seed)[0] for seed in range(60)]
    noise = np.sqrt(np.mean([abs(image[39:42, 54:57].sum()) ** 2 for image in images]))
    assert 3 * level < noise < 1.5 * 3 * level  # neighbours are a little alike
    k, cells = 6.0, 64
    planted = (patch(2) * np.float32(k * noise / 9)).astype(np.complex64)
    scores = [striking_difference(planted, image, INSIDE).score for image in images]
    assert np.median(scores) == pytest.approx(k / np.sqrt(1 + k**2 / cells), rel=0.15)


def test_without_an_object_or_without_a_difference_there_is_no_score():
    image = unfolded(0)[0]
    assert np.isnan(striking_difference(image, image, INSIDE).score)
    assert np.isnan(striking_difference(image, 0 * image, np.zeros_like(INSIDE)).score)

"""The parts of a simulated scan keep their promises."""

import numpy as np
import pytest

from trt_build.data.coils import random_coils
from trt_build.data.contrast import STEPS, tissue_curves, tissue_signals
from trt_build.data.errors import DataError
from trt_build.data.fields import enlarge, low_pass, smooth_noise
from trt_build.data.phase import random_phase
from trt_build.data.recipe import Recipe
from trt_build.data.sampling import draw_kind, draw_sampling, random_lines, split_lines
from trt_build.data.scene import Grid
from trt_build.data.shapes import phantom_scene, texture_scene

GRID = Grid(72, 64, (3.2, 3.6))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("pixels", [31, 32])
def test_low_pass_is_a_crop_of_k_space(pixels):
    fine = rng().standard_normal(2 * pixels)
    spectrum = np.fft.fft(fine)
    k = np.fft.fftfreq(2 * pixels, 1 / (2 * pixels))
    spectrum *= (np.abs(k) < pixels / 2) + 0.5 * (np.abs(k) == pixels / 2)
    wanted = np.fft.ifft(spectrum).real[::2]
    np.testing.assert_allclose(low_pass(pixels, 2) @ fine, wanted, atol=1e-5)


def test_enlarging_keeps_planes_and_corners():
    y, x = np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 1, 9), indexing="ij")
    fine = enlarge(2 * y - x, (40, 50))
    inner = np.linspace(0, 1, 40)[10:30, None] * 2 - np.linspace(0, 1, 50)[None, 10:40]
    np.testing.assert_allclose(fine[10:30, 10:40], inner, atol=1e-5)
    assert fine[0, 0] == pytest.approx(0, abs=1e-6)
    assert fine[-1, -1] == pytest.approx(1, abs=1e-6)


def test_smooth_noise_has_about_unit_variance():
    assert 0.7 < smooth_noise(rng(), (256, 256), 8)[0].std() < 1.3


def test_curves_are_signals():
    for seed in range(50):
        assert max(tissue_signals(rng(seed)).values()) == pytest.approx(1)
        for curve in tissue_curves(rng(seed), (0.2, 0.4, 0.6)):
            assert curve.shape == (STEPS,)
            assert np.isfinite(curve).all()
            assert curve.min() >= 0
            assert curve.max() <= 1.6


def test_phantoms_are_piecewise_constant_and_look_different_in_every_scan():
    plain = 0
    for seed in range(30):
        scene = phantom_scene(GRID, rng(seed))
        first, second = scene(rng(seed + 100)), scene(rng(seed + 200))
        assert first.shape == GRID.shape
        assert first.min() >= 0
        assert first.max() > 0
        assert not np.array_equal(first, second)
        plain += len(np.unique(first)) < 256
    assert plain > 15


def test_textures_have_an_outline():
    image = texture_scene(GRID, rng())(rng(1))
    assert image[0, 0] == 0
    assert image.max() > 0


def test_phase_has_unit_length():
    for seed in range(12):
        np.testing.assert_allclose((random_phase(rng(seed), GRID) ** 2).sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("count", [4, 9, 32])
def test_coils_differ_and_see_everything(count):
    for seed in range(5):
        coils = random_coils(rng(seed), GRID, count)
        assert coils.shape == (count, GRID.lines, GRID.width)
        assert np.isfinite(coils).all()
        sizes = np.linalg.svd(coils.reshape(count, -1), compute_uv=False)
        assert sizes[min(count, 6) - 1] > 1e-2 * sizes[0]
        assert np.sqrt((np.abs(coils) ** 2).sum(0)).min() > 0.05


def test_masks_hold_what_their_kind_promises():
    recipe = Recipe()
    for seed in range(60):
        chance = rng(seed)
        kind, acceleration = draw_kind(chance, recipe, 6)
        assert 2 <= acceleration <= 6
        lines = 8 * 3 * 5 if kind == "blocks" else 163
        sampling = draw_sampling(chance, recipe, kind, acceleration, lines)
        if kind == "blocks":
            assert sampling.acquired.sum() == -(-lines // acceleration)
        else:
            assert sampling.acquired[sampling.calibration].all()
        assert sampling.calibration.start <= lines // 2 < sampling.calibration.stop


def test_random_lines_number_what_was_asked_for():
    assert random_lines(rng(), 256, 4, slice(116, 140)).sum() == 64


def test_lines_for_the_loss_are_none_of_those_for_consistency():
    recipe = Recipe()
    sampling = draw_sampling(rng(), recipe, "grid", 4, 160)
    kept, lost = split_lines(rng(1), sampling)
    assert not kept[lost].any()
    assert kept.sum() + len(lost) == sampling.acquired.sum()
    assert sampling.acquired[lost].all()
    assert kept[79:82].all()


def test_recipes_that_make_no_sense():
    for wrong in ({"frames": 0}, {"strength": 0.0}, {"heads": 0.8, "phantoms": 0.5}, {"strip": (60, 96)}):
        with pytest.raises(DataError, match="recipe: got"):
            Recipe(**wrong)

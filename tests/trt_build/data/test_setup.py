"""A setup is what the network will be handed at run time, with the answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.unrolled.problem import apply_inverse
from trt_build.data.recipe import Recipe
from trt_build.data.setup import make_setup
from trt_build.data.validation import validation_setups
from trt_build.data.volumes import open_source

HEADS = Path("../shared/data/heads")
SMALL = Recipe(frames=2, fov_mm=(220, 240), resolution_mm=(2.4, 3.0), lines=(72, 96), strip=(48, 64), coils=(6, 12))
CLEAN = replace(SMALL, acceleration=(1, 1), snr=(1e6, 1e6), grids=1.0, randoms=0.0, withheld=0.0, frames=1)
SSDU = replace(SMALL, supervision="ssdu", snr=(1e4, 1e4), frames=1, acceleration=(2, 3), grids=1.0, randoms=0.0)


def solved(setup, frame=0):
    return apply_inverse(setup.inverse, setup.normal[frame])


def test_the_same_arguments_make_the_same_arrays():
    for index in range(4):
        first, again = make_setup(None, SMALL, 3, index), make_setup(None, SMALL, 3, index)
        for name in ("inverse", "scan", "noise", "normal", "target", "inside"):
            assert np.array_equal(getattr(first, name), getattr(again, name)), name
        assert first.facts == again.facts
        other = make_setup(None, SMALL, 4, index)
        assert first.normal.shape != other.normal.shape or not np.array_equal(first.normal, other.normal)


def test_shapes_fit_and_nothing_lies_outside():
    kinds = set()
    for index in range(12):
        setup = make_setup(None, SMALL, 1, index)
        frames, _, rows, columns = setup.normal.shape
        groups, double, alias = setup.inverse.shape
        assert (frames, rows % 8, columns % 8, double) == (2, 0, 0, 2 * alias)
        assert groups * alias == rows * columns
        assert setup.inside.shape == (rows, columns)
        for array in (setup.inverse, setup.scan, setup.noise, setup.normal, setup.target, setup.inside):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
        assert not setup.target[:, :, setup.inside == 0].any()
        assert not setup.normal[:, :, setup.inside == 0].any()
        kinds.add(setup.facts["kind"])
    assert len(kinds) >= 2


def test_without_noise_and_with_all_lines_the_linear_solution_is_the_target():
    for index in range(3):
        setup = make_setup(None, CLEAN, 1, index)
        image = solved(setup) * (1 + setup.scan[0] ** 2)
        np.testing.assert_allclose(image, setup.target[0], atol=2e-4 * np.abs(setup.target).max())


def test_a_setup_tells_lambda_and_the_share_of_its_lines():
    for index in range(4):
        setup = make_setup(None, SMALL, 6, index)
        assert setup.scan[0] ** 2 == pytest.approx(setup.facts["regularisation"], abs=1e-4)
        assert setup.scan[1] == pytest.approx(setup.acquired.mean())


def test_scans_twice_as_bright_have_a_quarter_of_the_lambda():
    for index in range(3):
        once, twice = (make_setup(None, replace(SMALL, snr=(snr, snr)), 2, index).scan[0] for snr in (30, 60))
        assert twice == pytest.approx(once / 2, rel=0.03)


def test_images_of_one_scan_differ_in_snr_no_more_than_asked():
    wide = replace(SMALL, frames=4, snr=(50, 500), brighter=1.2)
    for index in range(4):
        snrs = [float(snr) for snr in make_setup(None, wide, 1, index).facts["snr"].split()]
        assert 1 < max(snrs) / min(snrs) < 1.2**2 * 1.02


def test_the_noise_of_all_lines_has_sigma_one():
    setup = make_setup(None, replace(CLEAN, snr=(50, 50)), 1, 0)
    error = (solved(setup) * (1 + setup.scan[0] ** 2) - setup.target[0])[:, setup.inside > 0]
    assert np.mean((error**2).sum(0)) == pytest.approx(1, rel=0.1)


def test_kept_lines_are_predicted_by_the_target():
    for index in range(3):
        setup = make_setup(None, SSDU, 2, index)
        loss = setup.loss
        assert not setup.acquired[loss.rows].any()
        target = setup.target[0, 0] + 1j * setup.target[0, 1]
        predicted = loss.transform @ (loss.maps * target)
        assert predicted.shape == loss.lines[0].shape
        assert np.linalg.norm(predicted - loss.lines[0]) < 0.15 * np.linalg.norm(loss.lines[0])


def test_noise2noise_has_another_noise_in_its_target():
    clean, noisy = (make_setup(None, replace(SMALL, frames=1, supervision=kind), 5, 0) for kind in KINDS)
    assert np.array_equal(clean.normal, noisy.normal)
    difference = (noisy.target - clean.target)[0][:, clean.inside > 0]
    assert np.mean((difference**2).sum(0)) == pytest.approx(1, rel=0.1)


KINDS = ("supervised", "noise2noise")


def test_lines_of_all_coils_come_when_asked_for():
    setup = make_setup(None, replace(SMALL, with_kspace=True), 1, 0)
    assert setup.coils.lines.shape[0] == SMALL.frames
    assert setup.coils.lines.shape[2] == len(setup.acquired)
    assert not setup.coils.lines[:, :, ~setup.acquired].any()


@pytest.mark.skipif(not HEADS.is_dir(), reason="../shared/data/heads is not there")
def test_heads_of_the_fixed_split():
    sources = {split: open_source(HEADS, split) for split in ("train", "validation", "test")}
    assert {split: len(source.subjects) for split, source in sources.items()} == {
        "train": 28,
        "validation": 6,
        "test": 6,
    }
    setup = make_setup(sources["train"], replace(SMALL, heads=1.0, phantoms=0.0), 1, 0)
    assert setup.facts["object"] == "head"
    assert np.abs(setup.target).max() > 1


@pytest.mark.skipif(not HEADS.is_dir(), reason="../shared/data/heads is not there")
def test_validation_slices_are_fixed():
    source = open_source(HEADS, "validation")
    first, again = (next(validation_setups(source, Recipe(), accelerations=(8,))) for _ in range(2))
    assert np.array_equal(first.normal, again.normal)
    assert (first.facts["object"], first.facts["acceleration"], first.facts["coils"]) == ("head", 8, 16)

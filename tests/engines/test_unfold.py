"""Unfolding is the least-squares image, and its noise is what it says it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.linear.cgsense import Sense, cg_sense
from engines.linear.errors import LinearError
from engines.linear.unfold import equispaced, prepare_unfolding, unfold
from tests.engines.coils import head, hybrid_space, noise_like, nrmse, unit_maps


def grid(lines, acceleration, first):
    mask = np.zeros(lines, np.bool_)
    mask[first::acceleration] = True
    return mask


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(3, 8), st.integers(5, 9), st.data())
def test_noise_free_lines_unfold_to_the_object_from_any_first_line(acceleration, folded, width, data):
    first = data.draw(st.integers(0, acceleration - 1))
    lines = acceleration * folded
    maps = noise_like((8, lines, width))
    image = noise_like((lines, width), 2)
    kspace = hybrid_space(maps * image)
    weights = prepare_unfolding(maps, acceleration, first, regularisation=1e-9)
    assert nrmse(unfold(weights, kspace[:, first::acceleration]), image) < 1e-2


@pytest.mark.parametrize("regularisation", [1e-3, 1e-2])
@pytest.mark.parametrize(("acceleration", "first"), [(2, 0), (3, 2), (4, 1)])
def test_unfolding_equals_converged_cg_sense(acceleration, first, regularisation):
    maps, image = unit_maps(8, 96, 40), head(96, 40)
    mask = grid(96, acceleration, first)
    kspace = hybrid_space(maps * image) * mask[:, None]
    sense = Sense(maps, mask[:, None], (0,), regularisation)
    converged = cg_sense(kspace, sense, iterations=300, tolerance=1e-6).image
    direct = unfold(prepare_unfolding(maps, acceleration, first, regularisation), kspace[:, mask])
    assert nrmse(direct, converged) < 2e-4


def test_the_g_factor_equals_the_pseudo_replica_estimate():
    # Robson et al., Magn Reson Med 2008; 60:895. 400 replicas estimate a standard deviation to 3.5 %.
    maps, acceleration, replicas = unit_maps(8, 48, 32), 4, 400
    weights = prepare_unfolding(maps, acceleration, 1)
    rng = np.random.default_rng(5)
    images = np.stack(
        [unfold(weights, noise_like((8, 12, 32), int(seed))) for seed in rng.integers(0, 2**31, replicas)]
    )
    replica = np.sqrt((np.abs(images) ** 2).mean(0)) / np.sqrt(acceleration)
    ratio = replica / weights.g_factor
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert np.abs(ratio - 1).max() < 0.2
    assert (weights.g_factor > 0.999).all()


def test_a_fully_sampled_scan_has_g_factor_one():
    assert prepare_unfolding(unit_maps(4, 16, 16), 1, 0).g_factor == pytest.approx(1, abs=1e-5)


def test_pixels_that_no_coil_sees_stay_zero():
    maps = unit_maps(8, 32, 16)
    maps[:, :6] = 0
    weights = prepare_unfolding(maps, 2, 0)
    image = unfold(weights, noise_like((8, 16, 16)))
    assert not image[:6].any()
    assert np.isfinite(image).all()


@given(st.integers(1, 40), st.data())
def test_a_mask_is_equispaced_only_if_it_is_a_whole_grid(lines, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=lines, max_size=lines)))
    found = equispaced(mask)
    made = [grid(lines, r, f) for r in range(1, lines + 1) if lines % r == 0 for f in range(r)]
    assert (found is not None) == any(np.array_equal(mask, m) for m in made)
    if found is not None:
        np.testing.assert_array_equal(grid(lines, *found), mask)


@pytest.mark.parametrize(
    ("acceleration", "first", "said"), [(3, 0, "a divisor of 32"), (2, 2, "0 to 1"), (16, 0, "at most 8")]
)
def test_grids_that_cannot_be_unfolded_are_refused(acceleration, first, said):
    with pytest.raises(LinearError, match=said):
        prepare_unfolding(unit_maps(8, 32, 16), acceleration, first)


def test_another_number_of_lines_is_refused():
    weights = prepare_unfolding(unit_maps(4, 32, 16), 2, 0)
    with pytest.raises(LinearError, match="wanted \\(4, 16, 16\\)"):
        unfold(weights, noise_like((4, 15, 16)))

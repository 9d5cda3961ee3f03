"""The network's problem is the linear one: same images from its inverse, in either form, in every box."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.linear.columns import invert_columns, prepare_columns, solve_columns
from engines.linear.errors import LinearError
from engines.linear.unfold import prepare_unfolding, unfold
from engines.unrolled.balance import windowed
from engines.unrolled.prepared import prepare
from engines.unrolled.problem import (
    MULTIPLE,
    apply_inverse,
    as_box,
    as_planes,
    invert_box,
    network_box,
    network_problem,
    normal_image,
    whole_image,
)
from tests.engines.coils import head, hybrid_space, noise_like, nrmse, unit_maps
from tests.engines.unrolled.scene import STRENGTH, every, make_scene

LAMBDA = 0.1


def oval(lines, width):
    """An object that leaves rows unseen in every column, and a hole."""
    y, x = np.meshgrid(np.linspace(-1, 1, lines), np.linspace(-1, 1, width), indexing="ij")
    return ((y / 0.8) ** 2 + (x / 0.7) ** 2 < 1) & (y**2 + (x - 0.2) ** 2 > 0.01)


def scene(lines, width, mask, coils=8):
    maps = unit_maps(coils, lines, width) * oval(lines, width)
    full = hybrid_space(maps * head(lines, width) * 30)
    return maps, ((full + noise_like(full.shape)) * mask[:, None]).astype(np.complex64)


def irregular(lines):
    mask = np.random.default_rng(3).random(lines) < 0.35
    mask[lines // 2 - 6 : lines // 2 + 6] = True
    return mask


def grid(lines, acceleration, first=0):
    mask = np.zeros(lines, np.bool_)
    mask[first::acceleration] = True
    return mask


def solved(problem, frame):
    return whole_image(problem, apply_inverse(problem.inverse, normal_image(problem, frame)[0]))


@pytest.mark.parametrize("lines", [63, 64, 71])
def test_the_dense_form_equals_the_column_solver(lines):
    mask = irregular(lines)
    maps, frame = scene(lines, 37, mask)
    problem = network_problem(maps, mask, LAMBDA)
    wanted = solve_columns(invert_columns(prepare_columns(maps, mask, LAMBDA)), frame)
    assert nrmse(solved(problem, frame), wanted * oval(lines, 37)) < 1e-4


@pytest.mark.parametrize(("acceleration", "first"), [(2, 0), (4, 1), (8, 5)])
def test_blocks_equal_unfolding_and_the_dense_form(acceleration, first):
    mask = grid(64, acceleration, first)
    maps, frame = scene(64, 37, mask)
    blocks, dense = network_problem(maps, mask, LAMBDA), network_problem(maps, mask, LAMBDA, form="dense")
    assert blocks.inverse.shape == (64 // acceleration * blocks.padded[1], 2 * acceleration, acceleration)
    assert dense.inverse.shape[1:] == (2 * dense.padded[0], dense.padded[0])
    unfolded = unfold(prepare_unfolding(maps, acceleration, first, LAMBDA), frame[:, mask])
    assert nrmse(solved(blocks, frame), unfolded) < 1e-4
    assert nrmse(solved(dense, frame), unfolded) < 1e-4


@pytest.mark.parametrize(("lines", "acceleration"), [(60, 4), (64, 9), (66, 3)])
def test_a_grid_that_blocks_cannot_use_is_dense(lines, acceleration):
    mask = grid(lines, acceleration)
    maps, _ = scene(lines, 16, mask)
    assert network_box(maps, mask, LAMBDA).alias >= MULTIPLE


@pytest.mark.parametrize("mask", [irregular(72), grid(72, 4)], ids=["dense", "blocks"])
def test_unseen_and_padded_pixels_stay_zero_whatever_the_network_says(mask):
    maps, _ = scene(72, 37, mask)
    problem = network_problem(maps, mask, LAMBDA)
    anything = np.random.default_rng(1).standard_normal((2, *problem.padded)).astype(np.float32)
    out = apply_inverse(problem.inverse, anything)
    assert not out[:, ~problem.inside].any()
    assert (out[0, problem.inside] != 0).all()
    assert np.array_equal(out, apply_inverse(problem.inverse, anything * problem.inside))


def test_sizes_that_are_no_multiple_are_padded_below_and_to_the_right():
    mask = irregular(71)
    maps, _ = scene(71, 37, mask)
    box = network_box(maps, mask, LAMBDA)
    rows, columns = box.columns_problem.maps.shape[1:]
    assert box.padded == (-(-rows // MULTIPLE) * MULTIPLE, -(-columns // MULTIPLE) * MULTIPLE)
    assert np.array_equal(box.inside[:rows, :columns], oval(71, 37)[box.rows, box.columns])
    assert box.inside.sum() == oval(71, 37).sum()


def test_planes_and_pixels_are_the_same_image():
    mask = irregular(64)
    maps, _ = scene(64, 20, mask)
    box = network_box(maps, mask, LAMBDA)
    image = head(64, 20) * oval(64, 20)
    planes = as_planes(box, image[box.rows, box.columns])
    assert np.array_equal(whole_image(box, planes), image)
    assert np.array_equal(as_box(box, planes), image[box.rows, box.columns])


def test_a_given_box_is_kept():
    mask = irregular(64)
    maps, _ = scene(64, 40, mask)
    box = network_box(maps, mask, LAMBDA, box=(slice(0, 64), slice(8, 24)))
    assert (box.rows, box.columns, box.padded) == (slice(0, 64), slice(8, 24), (64, 16))


def test_it_stops_when_asked():
    mask = irregular(64)
    maps, _ = scene(64, 40, mask)
    assert invert_box(network_box(maps, mask, LAMBDA), cancelled=lambda: True) is None


def test_maps_of_nothing_and_a_foreign_inverse_are_refused():
    mask = irregular(64)
    maps, _ = scene(64, 24, mask)
    with pytest.raises(LinearError, match="zero everywhere"):
        network_box(0 * maps, mask, LAMBDA)
    with pytest.raises(LinearError, match="one NetworkProblem"):
        apply_inverse(network_problem(maps, mask, LAMBDA).inverse, np.zeros((2, 8, 8), np.float32))


def test_the_noise_of_a_problem_equals_the_pseudo_replica_estimate():
    mask = irregular(48)
    maps, _ = scene(48, 24, mask)
    problem = network_problem(maps, mask, LAMBDA)
    replicas = [(noise_like(maps.shape, seed) * mask[:, None]).astype(np.complex64) for seed in range(300)]
    found = np.mean(
        [(apply_inverse(problem.inverse, normal_image(problem, one)[0]) ** 2).sum(0) for one in replicas], 0
    )
    expected = problem.noise[problem.inside]
    assert np.abs(windowed(found.astype(np.float32))[problem.inside] / expected - 1).mean() < 0.05


@pytest.mark.parametrize("acceleration", [2, 4])
def test_the_noise_of_blocks_equals_that_of_the_dense_form(acceleration):
    mask = grid(64, acceleration, 1)
    maps, _ = scene(64, 37, mask)
    whole = (slice(0, 64), slice(0, 37))
    blocks = network_problem(maps, mask, LAMBDA, box=whole)
    dense = network_problem(maps, mask, LAMBDA, form="dense", box=whole)
    np.testing.assert_allclose(blocks.noise, dense.noise, rtol=2e-3, atol=1e-4)


def test_two_threads_make_the_right_hand_side_that_one_makes():
    scene = make_scene(every(4))
    box = prepare(scene.calibration, every(4), STRENGTH).box
    with ThreadPoolExecutor(1) as helpers:
        np.testing.assert_array_equal(normal_image(box, scene.frame, helpers), normal_image(box, scene.frame))

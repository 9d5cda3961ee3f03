"""The column solver solves what it says, with every line, in every box, and stops when asked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.linear.cgsense import Sense, cg_sense
from engines.linear.columns import invert_columns, noise_of, place, prepare_columns, right_hand_side, solve_columns
from engines.linear.errors import LinearError
from engines.linear.hermitian import hermitian_inverse
from engines.linear.preconditioned import apply_normal, prepare_iteration, solve_iteratively
from engines.linear.unfold import prepare_unfolding, unfold
from tests.engines.coils import dft, head, hybrid_space, noise_like, nrmse, unit_maps

LINES, WIDTH = 96, 40
BOX = (slice(9, 90), slice(5, 33))


def embedded(acceleration, lines=LINES, first=1, calibration=16):
    mask = np.zeros(lines, np.bool_)
    mask[first::acceleration] = True
    mask[lines // 2 - calibration // 2 : lines // 2 + calibration // 2] = True
    return mask


def irregular(lines=LINES):
    rng = np.random.default_rng(3)
    mask = rng.random(lines) < 0.4
    mask[lines // 2 - 4 : lines // 2 + 4] = True
    return mask


def boxed(maps):
    out = np.zeros_like(maps)
    out[:, BOX[0], BOX[1]] = maps[:, BOX[0], BOX[1]]
    return out


def noisy(maps, mask, scale=30):
    full = hybrid_space(maps * head(*maps.shape[1:]) * scale)
    return ((full + noise_like(full.shape)) * mask[:, None]).astype(np.complex64)


@pytest.mark.parametrize("mask", [embedded(4), embedded(3, first=2), irregular()], ids=["R4", "R3", "irregular"])
@pytest.mark.parametrize("box", [None, BOX], ids=["whole", "box"])
def test_the_dense_solution_equals_converged_cg_sense(mask, box):
    maps = unit_maps(8, LINES, WIDTH) if box is None else boxed(unit_maps(8, LINES, WIDTH))
    frame = noisy(maps, mask)
    direct = solve_columns(invert_columns(prepare_columns(maps, mask, 1e-2, box)), frame)
    converged = cg_sense(frame, Sense(maps, mask[:, None], (0,), 1e-2), iterations=400, tolerance=1e-6).image
    assert nrmse(direct, converged) < 5e-4


@pytest.mark.parametrize("lines", [31, 32, 33])
def test_odd_and_even_numbers_of_lines_are_both_centred(lines):
    maps, mask = unit_maps(6, lines, 9), embedded(2, lines, 0, 6)
    frame = noisy(maps, mask)
    direct = solve_columns(invert_columns(prepare_columns(maps, mask, 1e-2)), frame)
    assert nrmse(direct, cg_sense(frame, Sense(maps, mask[:, None], (0,), 1e-2), 300, 1e-6).image) < 5e-4


def test_on_grid_lines_alone_it_equals_unfolding():
    maps, mask = unit_maps(8, LINES, WIDTH), np.arange(LINES) % 4 == 1
    frame = noisy(maps, mask)
    direct = solve_columns(invert_columns(prepare_columns(maps, mask, 1e-3)), frame)
    assert nrmse(direct, unfold(prepare_unfolding(maps, 4, 1, 1e-3), frame[:, mask])) < 1e-4


@settings(max_examples=20)
@given(st.integers(2, 20), st.integers(1, 5), st.data())
def test_the_right_hand_side_is_the_adjoint_of_coils_transform_and_mask(lines, width, data):
    top, left = data.draw(st.integers(0, lines - 1)), data.draw(st.integers(0, width - 1))
    box = (slice(top, data.draw(st.integers(top + 1, lines))), slice(left, data.draw(st.integers(left + 1, width))))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=lines, max_size=lines).filter(any)))
    maps, frame = noise_like((3, lines, width)), noise_like((3, lines, width), 2)
    problem = prepare_columns(maps, mask, 1.0, box)
    inside = noise_like(problem.maps.shape[1:], 3)
    forward = np.einsum("ky,cyx->ckx", mask[:, None] * dft(lines), maps * place(problem, inside))
    left_product, right_product = np.vdot(forward, frame), np.vdot(inside, right_hand_side(problem, frame))
    assert abs(left_product - right_product) < 1e-4 * np.linalg.norm(forward) * np.linalg.norm(frame)


def test_calibration_lines_make_the_image_better():
    maps, mask = unit_maps(8, LINES, WIDTH), embedded(4)
    only_grid = np.arange(LINES) % 4 == 1
    truth = head(LINES, WIDTH) * 30
    errors = [
        nrmse(solve_columns(invert_columns(prepare_columns(maps, lines, 1e-2)), noisy(maps, lines)), truth)
        for lines in (mask, only_grid)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_pixels_outside_the_box_and_outside_the_maps_stay_zero():
    maps = boxed(unit_maps(8, LINES, WIDTH))
    maps[:, 40:50, 10:20] = 0
    image = solve_columns(invert_columns(prepare_columns(maps, embedded(4), 1e-2, BOX)), noisy(maps, embedded(4)))
    outside = np.ones((LINES, WIDTH), np.bool_)
    outside[BOX] = False
    assert not image[outside].any()
    assert np.abs(image[40:50, 10:20]).max() < 1e-3


def test_the_noise_of_the_solution_equals_the_pseudo_replica_estimate():
    mask, replicas = embedded(4, 48, calibration=8), 400
    inverse = invert_columns(prepare_columns(unit_maps(8, 48, 16), mask, 1e-2, (slice(4, 44), slice(2, 14))))
    images = [solve_columns(inverse, noise_like((8, 48, 16), seed) * mask[:, None]) for seed in range(replicas)]
    inside = (slice(4, 44), slice(2, 14))
    ratio = np.sqrt((np.abs(np.stack(images)) ** 2).mean(0))[inside] / noise_of(inverse)[inside]
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert np.abs(ratio - 1).max() < 0.2


def test_inverting_stops_when_told_and_not_before():
    problem = prepare_columns(unit_maps(4, 32, 20), embedded(2, 32), 1e-2)
    answers = iter([False, False, True])
    assert invert_columns(problem, cancelled=lambda: next(answers), at_once=4) is None
    assert next(answers, "all asked") == "all asked"


@settings(max_examples=30)
@given(st.integers(1, 270), st.sampled_from([1.0, 1e2, 1e3]))
def test_the_inverse_of_a_hermitian_matrix_is_its_inverse(size, condition):
    vectors = np.linalg.qr(noise_like((2, size, size)).astype(complex))[0]
    values = np.geomspace(1, condition, size)
    matrices = ((vectors * values) @ vectors.conj().swapaxes(1, 2)).astype(np.complex64)
    inverse = np.full_like(matrices, np.nan)
    assert hermitian_inverse(matrices, inverse) is inverse
    assert np.abs(inverse @ matrices - np.eye(size)).max() < 1e-5 * condition
    np.testing.assert_array_equal(inverse, inverse.conj().swapaxes(1, 2))


@pytest.mark.parametrize("bad", [-1, 0, np.nan])
@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_matrix_that_is_not_positive_definite_is_refused(bad, row):
    matrices = np.stack([np.eye(40, dtype=np.complex64)] * 3)
    matrices[1, row, row] = bad
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        hermitian_inverse(matrices)


@pytest.mark.parametrize("mask", [embedded(4), embedded(3), irregular()], ids=["R4", "R3", "irregular"])
@pytest.mark.parametrize("box", [None, BOX], ids=["whole", "box"])
def test_the_iteration_comes_to_the_dense_solution(mask, box):
    maps = unit_maps(8, LINES, WIDTH) if box is None else boxed(unit_maps(8, LINES, WIDTH))
    problem = prepare_columns(maps, mask, 1e-2, box)
    frame = noisy(maps, mask)
    dense = solve_columns(invert_columns(problem), frame)
    iteration = prepare_iteration(problem)
    assert nrmse(solve_iteratively(iteration, frame), dense) < 1e-2
    assert nrmse(solve_iteratively(iteration, frame, iterations=100, tolerance=1e-6), dense) < 1e-4


def test_the_preconditioner_saves_steps():
    maps, mask = boxed(unit_maps(8, LINES, WIDTH)), embedded(4)
    problem = prepare_columns(maps, mask, 1e-2, BOX)
    frame = noisy(maps, mask)
    dense = solve_columns(invert_columns(problem), frame)
    helped = prepare_iteration(problem)
    plain = replace(helped, inverse_gain=np.ones_like(helped.inverse_gain))
    errors = [nrmse(solve_iteratively(i, frame, iterations=8, tolerance=0), dense) for i in (helped, plain)]
    assert errors[0] < 0.6 * errors[1]


def test_the_normal_operator_is_its_own_adjoint_and_positive():
    iteration = prepare_iteration(prepare_columns(unit_maps(4, 24, 7), embedded(2, 24), 1e-2))
    u, v = noise_like((7, 24), 1), noise_like((7, 24), 2)
    assert np.vdot(u, apply_normal(iteration, v)) == pytest.approx(np.vdot(apply_normal(iteration, u), v), rel=1e-4)
    assert np.vdot(u, apply_normal(iteration, u)).real > 0


@pytest.mark.parametrize(
    ("mask", "regularisation", "said"),
    [(np.zeros(16, np.bool_), 1.0, "no acquired line"), (np.ones(16, np.bool_), 0.0, "positive"),
     (np.ones(15, np.bool_), 1.0, "wanted \\(16\\)")],
)  # fmt: skip
def test_impossible_problems_are_refused(mask, regularisation, said):
    with pytest.raises(LinearError, match=said):
        prepare_columns(unit_maps(4, 16, 8), mask, regularisation)


def test_a_frame_of_another_size_is_refused():
    problem = prepare_columns(unit_maps(4, 16, 8), np.ones(16, np.bool_), 1.0)
    with pytest.raises(LinearError, match="wanted \\(4, 16, 8\\)"):
        right_hand_side(problem, noise_like((4, 16, 9)))

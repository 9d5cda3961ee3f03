"""What lines that were withheld tell of a network's image, and what they cannot: by simulated failures.

The networks here say what they are told to; the best image is the one that the maps describe without noise.
"""

import numpy as np
import pytest

from engines.linear.errors import LinearError
from engines.unrolled.difference import smooth_difference
from engines.unrolled.prepared import make_inverse, make_ready, prepare
from engines.unrolled.run import Cascades, draw
from engines.unrolled.strength import ENDS
from engines.unrolled.trust import judge, predicted_lines, withheld_lines
from tests.engines.coils import dft, head, noise_like, unit_maps
from tests.engines.unrolled.scene import (
    COILS,
    LINES,
    SNR,
    STRENGTH,
    every,
    make_scene,
    sampled,
    says,
    shrinking,
    strength_of,
    subject,
)

MASK = every(4)


def ready(scene, calibration=None):
    prepared = prepare(calibration or scene.calibration, MASK, STRENGTH, 0.04)
    make_ready(prepared)
    return prepared


def trust(scene, pixels, prepared=None, frame=None):
    prepared = prepared or ready(scene)
    return draw(says(prepared, pixels), None, prepared, scene.frame if frame is None else frame).trust


def test_the_best_image_is_predicted_to_the_noise_and_the_linear_one_is_not():
    scene = make_scene(MASK)
    found = trust(scene, scene.target)
    assert found.error == pytest.approx(1.0, abs=0.08)
    assert found.linear > 2
    assert found.ratio == found.error / found.linear < 0.5


def test_the_companion_is_the_linear_image_of_the_same_lines():
    """What the matrices predict is what an image solved without the withheld lines predicts."""
    scene = make_scene(MASK)
    linear = draw(shrinking(cascades=0)[0], None, ready(scene), scene.frame)
    assert linear.trust.error == pytest.approx(trust(scene, scene.target).linear, rel=1e-3)
    with_an_inverse, with_nothing = (prepare(scene.calibration, MASK, STRENGTH, 0.04) for _ in range(2))
    make_inverse(with_an_inverse)
    assert with_an_inverse.predictor is None
    assert trust(scene, scene.target, with_an_inverse).linear == pytest.approx(linear.trust.error, rel=1e-3)
    whole, parts = shrinking()
    bridged = draw(whole, Cascades(parts, 3), with_nothing, scene.frame)
    assert bridged.trust.linear == pytest.approx(linear.trust.error, rel=2e-2)


@pytest.mark.parametrize(("planted", "least"), [(1.0, 1.3), (3.0, 2.5)])
def test_a_planted_structure_is_caught_when_it_is_large_and_bright(planted, least):
    """8 pixels across, as bright as tissue: 1.4 times the noise; the same at a tenth of that is lost in the noise."""
    scene = make_scene(MASK)
    y, x = np.mgrid[:LINES, :LINES]
    lesion = ((y - 45) ** 2 + (x - 50) ** 2 <= 16) * SNR
    clean = trust(scene, scene.target)
    assert trust(scene, scene.target + planted * lesion).error > least * clean.error
    assert trust(scene, scene.target + 0.1 * lesion).error < 1.05 * clean.error


def null_space(scene, prepared, lines):
    """An image, smooth but for what the given lines (line,) see, that is invisible to them in column after column."""
    problem = prepared.box.columns_problem
    rows = np.flatnonzero(lines)
    transform = dft(LINES)[rows][:, problem.rows]
    guess = noise_like(problem.maps.shape[1:], seed=4)
    out = np.zeros_like(guess)
    for column in range(guess.shape[1]):
        maps = problem.maps[:, :, column]
        seen = maps.any(0)
        samples = (maps[:, None] * transform).reshape(-1, len(problem.rows))[:, seen]
        values, vectors = np.linalg.eigh(samples.conj().T @ samples)
        hidden = vectors[:, values < 0.02]
        out[seen, column] = hidden @ (hidden.conj().T @ guess[seen, column])
    whole = np.zeros(scene.target.shape, np.complex64)
    whole[problem.rows[0] : problem.rows[-1] + 1, problem.columns] = out
    return whole * np.float32(0.5 * np.linalg.norm(scene.target) / np.linalg.norm(whole))


def residual(scene, prepared, pixels, rows):
    """Error of the samples at some lines, in units of the noise, of all coils and columns of the box."""
    box = prepared.box
    given = predicted_lines(box.columns_problem, rows, pixels[box.rows, box.columns].astype(np.complex64))
    return np.sqrt(np.mean(np.abs(given - scene.frame[:, rows][:, :, box.columns]) ** 2))


def test_a_structure_that_the_used_lines_cannot_see_is_seen_by_the_withheld_ones():
    scene = make_scene(MASK)
    prepared = ready(scene)
    used = MASK.copy()
    used[prepared.withheld] = False
    invented = scene.target + null_space(scene, prepared, used)
    rows = np.flatnonzero(used)
    before, after = (residual(scene, prepared, pixels, rows) for pixels in (scene.target, invented))
    assert after < 1.3 * before  # data consistency hardly moves, though what is invented has half of the image's norm
    assert trust(scene, invented, prepared).error > 3 * trust(scene, scene.target, prepared).error


def test_a_structure_that_no_acquired_line_sees_is_beyond_this_test():
    scene = make_scene(MASK)
    prepared = ready(scene)
    invented = scene.target + null_space(scene, prepared, MASK)
    assert trust(scene, invented, prepared).error < 2 * trust(scene, scene.target, prepared).error


def test_wrong_maps_are_caught_even_where_the_image_is_right():
    """Two coils whose plugs were swapped between calibration and scan: no image explains the lines by these maps."""
    scene = make_scene(MASK)
    swapped = scene.frame.copy()
    swapped[[1, 4]] = swapped[[4, 1]]
    prepared = ready(scene)
    right, wrong = (trust(scene, scene.target, prepared, frame) for frame in (scene.frame, swapped))
    assert wrong.error > 1.6 * right.error


def after_motion(pixels, axis=0):
    """The figure of the moved object's image, as much of it as lies where the maps know an object."""
    coils, moved = unit_maps(COILS, LINES, LINES), np.roll(subject(), pixels, axis)
    still = make_scene(MASK)
    target = (still.calibration.maps.conj() * coils * moved).sum(0) * still.calibration.inside
    return trust(still, target, frame=sampled(coils * moved, MASK)).error


def test_motion_between_calibration_and_scan_is_caught_when_the_object_leaves_its_place():
    """Maps belong to coils, not to the object: an image is right as long as the object stays where maps are known."""
    assert after_motion(12) > 1.5
    assert after_motion(4) < 1.1


def test_motion_out_of_the_columns_that_the_network_sees_is_refused():
    with pytest.raises(LinearError, match="the object has moved; calibrate again"):
        after_motion(12, axis=1)
    assert after_motion(3, axis=1) < 1.1


def test_shadows_are_seen_against_the_linear_image_where_withheld_lines_see_little():
    scene = make_scene(MASK)
    prepared = prepare(scene.calibration, MASK, strength_of(scene.calibration, MASK, ENDS[0]))
    make_ready(prepared)
    linear = draw(shrinking(cascades=0)[0], None, prepared, scene.frame).pixels
    y = np.arange(LINES)[:, None]
    shadows = 1 + 0.3 * np.cos(2 * np.pi * y / LINES)
    assert smooth_difference(scene.target, linear) < 0.05
    assert smooth_difference(scene.target * shadows, linear) > 0.1
    assert np.isnan(smooth_difference(linear, 0 * linear))


def excess_of_shadows(scene, nearest):
    """What smooth shadows, a quarter of the matrix wide, add to the energy of the error."""
    prepared = prepare(scene.calibration, MASK, STRENGTH, 0.04, nearest)
    make_ready(prepared)
    y, x = np.mgrid[:LINES, :LINES]
    shadows = 1 + 0.3 * np.cos(2 * np.pi * 4 * y / LINES) * np.cos(2 * np.pi * x / LINES)
    right, wrong = (trust(scene, pixels, prepared).error for pixels in (scene.target, scene.target * shadows))
    return wrong**2 - right**2


def test_smooth_errors_are_seen_better_by_lines_nearer_to_the_centre():
    scene = make_scene(MASK)
    assert excess_of_shadows(scene, 0.1) > 2 * excess_of_shadows(scene, 0.3)


@pytest.mark.parametrize("nearest", [0.1, 0.3, 0.5])
def test_no_withheld_line_is_nearer_to_the_centre_than_asked(nearest):
    rows = np.flatnonzero(withheld_lines(MASK, 0.04, nearest)) - LINES // 2
    assert np.abs(rows).min() >= nearest * LINES / 2


def test_noise_alone_is_one():
    scene = make_scene(MASK, image=0 * head(LINES, LINES) + np.float32(1e-6))
    real = make_scene(MASK)
    prepared = ready(real)
    assert trust(scene, 0 * real.target, prepared).error == pytest.approx(1.0, abs=0.08)


def test_without_an_object_there_is_no_figure():
    nothing = np.zeros((3, 4, 4), np.complex64)
    assert np.isnan(judge(nothing, *np.ones((3, 2, 2, 3), np.complex64)).error)

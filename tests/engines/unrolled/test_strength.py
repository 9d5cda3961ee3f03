"""Lambda follows the signal, so that a network finds every scan as it knows it: the level that it is found from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.errors import LinearError
from engines.unrolled.prepared import prepare
from engines.unrolled.strength import ENDS, level_of, regularisation_of, scan_of
from tests.engines.coils import hybrid_space, noise_like, unit_maps
from tests.engines.unrolled.scene import COILS, LINES, STRENGTH, every, make_scene, subject

MASK = every(4)


def lines_of(image, seed=1):
    """All lines of an object, with noise of sigma 1."""
    full = hybrid_space(unit_maps(COILS, LINES, LINES) * image)
    return full + noise_like(full.shape, seed)


@pytest.mark.parametrize("snr", [3, 30, 300])
def test_the_level_is_the_root_mean_square_of_the_object(snr):
    image = subject(snr)
    inside = image != 0
    wanted = np.sqrt(np.mean(np.abs(image[inside]) ** 2))
    assert level_of(lines_of(image), inside) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("brighter", [0.2, 2.0, 10.0])
def test_the_level_grows_as_the_signal_does_and_noise_has_no_part_in_it(brighter):
    image = subject()
    inside = image != 0
    once, more = (level_of(lines_of(pixels, seed=3), inside) for pixels in (image, np.float32(brighter) * image))
    assert more == pytest.approx(brighter * once, rel=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_is_held_as_firmly_as_can_be(seed):
    inside = subject() != 0
    assert regularisation_of(level_of(lines_of(0 * subject(), seed), inside), MASK, STRENGTH) == ENDS[1]


def test_without_an_object_and_without_signal_there_is_a_lambda_all_the_same():
    nothing = np.zeros((COILS, LINES, LINES), np.complex64)
    assert regularisation_of(level_of(nothing, np.zeros((LINES, LINES), np.bool_)), MASK, STRENGTH) == ENDS[1]


@given(st.floats(1e-3, 1e6), st.floats(0.01, 1000))
def test_lambda_is_the_inverse_square_of_the_level_over_strength_and_share_between_its_ends(level, strength):
    low, high = ENDS
    wanted = (strength * MASK.mean() / level) ** 2
    assert regularisation_of(level, MASK, strength) == pytest.approx(min(max(wanted, low), high))


@given(st.floats(1e-3, 1e6), st.floats(1, 100))
def test_a_brighter_scan_never_has_the_larger_lambda(level, brighter):
    assert regularisation_of(level * brighter, MASK, STRENGTH) <= regularisation_of(level, MASK, STRENGTH)


@pytest.mark.parametrize("strength", [0.0, -12.0])
def test_a_strength_that_is_not_positive_is_refused(strength):
    with pytest.raises(LinearError, match=r"got strength -?\d+, wanted a positive number"):
        regularisation_of(30.0, MASK, strength)
    with pytest.raises(LinearError, match="wanted a positive number"):
        prepare(make_scene(MASK).calibration, MASK, strength)


def test_frame_and_calibration_twice_as_bright_have_a_quarter_of_the_lambda():
    boxes = [prepare(make_scene(MASK, image=factor * subject()).calibration, MASK, STRENGTH).box for factor in (1, 2)]
    once, twice = (box.columns_problem.regularisation for box in boxes)
    assert ENDS[0] < twice < once < ENDS[1]
    assert twice == pytest.approx(once / 4, rel=0.02)
    told, of_twice = map(scan_of, boxes)
    np.testing.assert_allclose(of_twice, told * [0.5, 1], rtol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.04])
def test_a_network_is_told_the_root_of_lambda_and_the_share_of_the_lines_that_it_uses(share):
    scene = make_scene(MASK)
    prepared = prepare(scene.calibration, MASK, STRENGTH, share)
    told = scan_of(prepared.box)
    assert told.dtype == np.float32
    share = (MASK.sum() - len(prepared.withheld)) / LINES
    root = STRENGTH * share / level_of(scene.calibration.lines, scene.calibration.inside)
    np.testing.assert_allclose(told, [root, share], rtol=1e-6)

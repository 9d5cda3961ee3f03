"""A frame drawn before its last lines are there, with those of the frame before."""

import numpy as np
import pytest

from engines.unrolled.prepared import make_ready, prepare
from engines.unrolled.run import Beforehand, draw, draw_early
from tests.engines.unrolled.scene import STRENGTH, every, make_scene, sampled, shrinking, subject

MASK = every(4)
BORROWED = np.flatnonzero(MASK)[-5:]


def prepared_of(scene, **more):
    prepared = prepare(scene.calibration, MASK, STRENGTH, 0.03, **more)
    make_ready(prepared)
    return prepared


def early_of(frame, before):
    mixed = frame.copy()
    mixed[:, BORROWED] = before[:, BORROWED]
    return mixed


@pytest.fixture(scope="module")
def scene():
    return make_scene(MASK)


@pytest.fixture(scope="module")
def prepared(scene):
    return prepared_of(scene)


def again(scene, image=None, seed=7):
    """A later frame of the same coils, of the same object unless `image` says otherwise."""
    coils = scene.calibration.maps
    return sampled(coils * (subject() if image is None else image), MASK, seed)


def test_where_nothing_has_changed_but_the_noise_what_was_drawn_early_is_the_image(scene, prepared):
    before, frame, network = again(scene, seed=7), again(scene, seed=8), shrinking()[0]
    early = draw_early(network, prepared, early_of(frame, before), BORROWED)
    got = draw(lambda _: pytest.fail("asked again"), None, prepared, frame, None, Beforehand(early=early))
    assert got.borrowed == len(BORROWED)
    assert got.consistency == "columns"


def test_the_image_differs_from_that_of_its_own_lines_by_less_than_two_frames_do(scene, prepared):
    before, frame, network = again(scene, seed=7), again(scene, seed=8), shrinking()[0]
    early = draw_early(network, prepared, early_of(frame, before), BORROWED)
    got, own, other = (
        draw(network, None, prepared, lines, None, Beforehand(early=told)).pixels
        for lines, told in ((frame, early), (frame, None), (before, None))
    )
    assert np.linalg.norm(got - own) < 0.8 * np.linalg.norm(other - own)


def test_with_the_lines_that_came_then_it_is_the_very_image(scene, prepared):
    frame, network = again(scene), shrinking()[0]
    early = draw_early(network, prepared, frame, BORROWED)
    got = draw(network, None, prepared, frame, None, Beforehand(early=early))
    np.testing.assert_array_equal(got.pixels, draw(network, None, prepared, frame).pixels)
    assert got.trust == draw(network, None, prepared, frame).trust


@pytest.mark.parametrize("change", ["moved", "brighter", "gone"])
def test_where_the_borrowed_lines_have_changed_the_frame_is_drawn_anew(scene, prepared, change):
    image = {"moved": np.roll(subject(), 5, 0), "brighter": 2 * subject(), "gone": 0 * subject()}[change]
    frame, network = again(scene, image), shrinking()[0]
    early = draw_early(network, prepared, early_of(frame, again(scene, seed=8)), BORROWED)
    got = draw(network, None, prepared, frame, None, Beforehand(early=early))
    assert got.borrowed == 0
    np.testing.assert_array_equal(got.pixels, draw(network, None, prepared, frame).pixels)


def test_what_was_drawn_with_another_preparation_is_not_taken(scene, prepared):
    frame, network = again(scene), shrinking()[0]
    early = draw_early(network, prepared_of(scene), frame, BORROWED)
    assert draw(network, None, prepared, frame, None, Beforehand(early=early)).borrowed == 0


def test_noise_alone_never_counts_as_a_change(scene, prepared):
    network, frames = shrinking()[0], [again(scene, seed=seed) for seed in range(40)]
    early = draw_early(network, prepared, frames[0], BORROWED)
    assert all(early.holds(prepared, frame) for frame in frames)

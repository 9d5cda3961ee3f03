"""Whose turn it is at the network, told by what waits and when the next frame is due."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gadgets.draw import Job, Sketch
from gadgets.turns import Turns

SECOND = 10**9
CROWD = 6
FRAME = SimpleNamespace(header={"idx": {"slice": 0}}, acquired=np.ones((1, 4), np.bool_))


def inverse(*, there):
    return SimpleNamespace(pending=lambda _: not there, ready=lambda *_: there or None, patience_s=60.0)


def job(due_s, *, there=True):
    now = time.monotonic_ns()
    return Job(0, SimpleNamespace(source=FRAME), None, inverse(there=there), now, now + due_s * SECOND)


def sketch(due_s, *, there=True):
    return Sketch(FRAME, None, inverse(there=there), time.monotonic_ns() + due_s * SECOND)


@pytest.fixture
def turns():
    return Turns(CROWD)


def expecting(turns, in_s, deadline_s=60):
    """The next frame of a series is begun then."""
    now = time.monotonic_ns()
    for before in (20, 10):
        came(turns, now + (in_s - before) * SECOND, deadline_s)


def came(turns, arrived_ns, deadline_s=60):
    turns.came(arrived_ns, arrived_ns + deadline_s * SECOND)


def test_a_frame_that_can_be_in_time_goes_before_those_that_are_late_already(turns):
    assert turns.first([job(-1), job(60), job(60)]) == 1
    assert turns.first([job(-1), sketch(60)]) == 1


def test_what_waits_for_its_inverse_leaves_the_others_their_turn(turns):
    assert turns.first([job(60, there=False), job(60)]) == 1
    assert turns.first([job(60, there=False), sketch(60, there=False)]) is None


def test_a_frame_that_has_waited_for_its_inverse_long_enough_is_made_without(turns):
    waited = replace(job(60, there=False), given_ns=time.monotonic_ns() - 61 * SECOND)
    assert turns.first([waited]) == 0


def test_an_early_frame_that_is_of_no_use_any_more_is_let_go_at_once(turns):
    assert turns.first([job(-1, there=False), sketch(-1, there=False)]) == 1


def test_an_early_frame_that_its_frame_has_overtaken_is_let_go_at_once(turns):
    overtaken = sketch(60, there=False)
    overtaken.overtaken = True
    assert turns.first([job(60, there=False), overtaken]) == 1


def test_a_late_frame_is_made_where_the_next_one_is_far(turns):
    assert turns.first([job(-1)]) == 0
    expecting(turns, 5)
    assert turns.first([job(-1)]) == 0


@pytest.mark.parametrize("in_s", [0.05, -0.2])
def test_a_late_frame_is_held_back_where_the_next_one_comes_before_it_would_be_done(turns, in_s):
    expecting(turns, in_s)
    assert turns.first([job(-1)]) is None


def test_a_late_frame_is_held_back_a_while_until_a_second_one_tells_when_the_next_will_come(turns):
    assert turns.first([job(-0.5)]) is None
    assert turns.first([job(-1.5)]) == 0
    came(turns, time.monotonic_ns())
    assert turns.first([job(-0.5)]) is None
    expecting(turns, 5)
    assert turns.first([job(-0.5)]) == 0


def test_how_long_a_frame_takes_is_learned(turns):
    expecting(turns, 5)
    turns.drawn(6000.0)
    assert turns.first([job(-1)]) is None


@pytest.mark.parametrize("early", [True, False])
def test_the_next_frame_is_expected_as_early_as_the_last_one_was_told(turns, early):
    now = time.monotonic_ns()
    turns.drawn(400.0)
    came(turns, now - 0.05 * SECOND)
    if early:
        turns.told()
    came(turns, now + 0.25 * SECOND)
    assert turns.first([job(-1)]) == (None if early else 0)


def test_a_frame_may_be_begun_early_until_its_last_readout_is_expected(turns):
    assert turns.told() > time.monotonic_ns()
    came(turns, time.monotonic_ns())
    told_ns = time.monotonic_ns()
    turns.told()
    came(turns, told_ns + 2 * SECOND)
    assert 1.9 * SECOND < turns.told() - time.monotonic_ns() < 2.1 * SECOND


def test_late_frames_are_not_held_back_for_a_frame_that_does_not_come(turns):
    expecting(turns, -1)
    assert turns.first([job(-1)]) == 0


def test_late_frames_are_not_held_back_where_no_frame_can_be_in_time(turns):
    expecting(turns, 0.05, deadline_s=0.25)
    assert turns.first([job(-1)]) is None
    turns.drawn(300.0)
    assert turns.first([job(-1)]) == 0


def test_late_frames_are_not_held_back_where_new_ones_would_find_no_place(turns):
    expecting(turns, 0.05)
    assert turns.first([job(-1)] * CROWD) == 0


def test_late_frames_are_not_held_back_when_no_frame_comes_any_more(turns):
    expecting(turns, 0.05)
    turns.over()
    assert turns.first([job(-1)]) == 0

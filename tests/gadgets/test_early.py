"""Laws of accumulate telling a frame before its last lines are there."""

import numpy as np
import pytest

from gadgets.accumulate import accumulate
from protocols.messages import EarlyFrame, Frame
from tests.making import LAST, ORDER, TOML, context, lines, scan

SIZE = 32
STEPS = [*range(0, SIZE, 2)]
EARLY = 3
NETWORK = TOML.replace(str(ORDER), str([*ORDER[:8], "network", *ORDER[8:]])) + "[engines]\nmodels = { network = 'x' }\n"


def node(most=EARLY, toml=NETWORK):
    return accumulate(context(scan(lines=SIZE, acceleration=2, repetition=(0, 9), slice=(0, 1)), toml), most)


def run(batches, most=EARLY, toml=NETWORK):
    return list(node(most, toml)(iter(batches)))


def frame(number, steps=STEPS, shift=0.0, **counters):
    """One batch a line, as a slow scanner sends them."""
    made = []
    for n, step in enumerate(steps):
        batch = lines([step], [(0, LAST)] if n == len(steps) - 1 else [], repetition=number, **counters)
        batch.samples[:] += shift
        made.append(batch)
    return made


def of(kind, messages):
    return [m for m in messages if isinstance(m, kind)]


def test_a_frame_is_told_so_many_lines_before_its_end_with_those_of_the_frame_before():
    got = run([*frame(0), *frame(1, shift=100.0)])
    first, second = of(Frame, got)
    (early,) = of(EarlyFrame, got)
    assert early.borrowed.tolist() == STEPS[-EARLY:]
    np.testing.assert_array_equal(early.hybrid[:, :, early.borrowed], first.hybrid[:, :, early.borrowed])
    own = STEPS[:-EARLY]
    np.testing.assert_array_equal(early.hybrid[:, :, own], second.hybrid[:, :, own])
    np.testing.assert_array_equal(early.acquired, second.acquired)
    assert (first.early, second.early) == (0, early.number)


def test_it_is_told_once_and_at_that_moment():
    batches = [*frame(0), *frame(1)]
    tape = iter(batches)
    next(m for m in node()(tape) if isinstance(m, EarlyFrame))
    assert len(list(tape)) == EARLY


def test_lines_that_come_later_do_not_change_what_was_told():
    got = run([*frame(0), *frame(1, shift=100.0), *frame(2, shift=200.0)])
    early = of(EarlyFrame, got)
    assert [float(e.hybrid[0, 0, STEPS[-1], 0].real) // 100 for e in early] == [0, 1]


def test_every_slice_borrows_of_its_own():
    batches = [batch for number in (0, 1) for s in (0, 1) for batch in frame(number, shift=1000.0 * s, slice=s)]
    early = of(EarlyFrame, run(batches))
    assert [int(e.header["idx"]["slice"]) for e in early] == [0, 1]
    assert [float(e.hybrid[0, 0, STEPS[-1], 0].real) // 1000 for e in early] == [0, 1]


@pytest.mark.parametrize(
    ("first", "second", "most"),
    [
        (STEPS, STEPS, 0),  # not asked for
        (STEPS, [*STEPS[:7], *STEPS[9:], *STEPS[7:9]], 2),  # lines of the centre come last
        (STEPS, [*STEPS[:-4], STEPS[-1] + 1], EARLY),  # other lines than before
        (STEPS[:-6], STEPS, EARLY),  # the last lines of the frame before lie near the centre
    ],
)
def test_nothing_is_told(first, second, most):
    assert not of(EarlyFrame, run([*frame(0, first), *frame(1, second)], most))


def test_a_frame_with_a_line_twice_is_not_the_one_that_was_told():
    got = run([*frame(0), *frame(1, [*STEPS[:-1], STEPS[0], STEPS[-1]])])
    assert len(of(EarlyFrame, got)) == 1
    assert of(Frame, got)[1].early == 0


def test_a_batch_that_brings_all_that_is_left_tells_nothing():
    got = run([*frame(0), lines(STEPS, [(len(STEPS) - 1, LAST)], repetition=1)])
    assert not of(EarlyFrame, got)


def test_without_a_network_nothing_is_told():
    assert not of(EarlyFrame, run([*frame(0), *frame(1)], toml=TOML))

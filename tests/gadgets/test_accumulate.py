"""Laws of accumulate: everything that came is in a frame, and a frame leaves with its own last line."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgets.accumulate import accumulate
from protocols.events import Flag, Severity
from protocols.messages import Frame, Reference
from protocols.mrd import AcqFlag
from tests.making import LAST, context, lines, scan

CAL, BOTH = AcqFlag.IS_PARALLEL_CALIBRATION, AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING


def run(batches, of=None):
    return list(accumulate(context(of))(iter(batches)))


def frames(messages):
    return [m for m in messages if isinstance(m, Frame)]


def pulls_until(kind, batches, of=None):
    tape = iter(batches)
    stream = accumulate(context(of))(tape)
    next(m for m in stream if isinstance(m, kind))
    return len(batches) - len(list(tape))


def test_a_frame_leaves_with_its_own_last_line_not_with_the_next_frame():
    batches = [lines([n % 8], [(0, LAST)] if n % 8 == 7 else [], repetition=n // 8) for n in range(16)]
    assert pulls_until(Frame, batches) == 8
    assert [f.reason for f in frames(run(batches))] == ["last flag", "last flag"]


def test_without_last_flags_a_full_frame_leaves_when_it_is_complete():
    assert pulls_until(Frame, [lines([n % 8], repetition=n // 8) for n in range(16)]) == 8


def test_without_flags_and_incomplete_a_frame_leaves_when_the_next_of_its_slice_begins_and_says_what_is_missing():
    got = frames(run([lines(range(7), repetition=0), lines(range(8), repetition=1)]))
    assert [f.reason for f in got] == ["next frame", "complete"]
    assert [flag.code for flag in got[0].flags] == ["missing_lines"]
    assert got[0].flags[0].evidence["lines"] == [7]
    assert got[0].flags[0].severity is Severity.FAIL


def test_what_never_ended_leaves_at_the_end_of_the_stream():
    (frame,) = frames(run([lines([0, 1, 5])]))
    assert frame.reason == "end of stream"
    assert np.flatnonzero(frame.acquired[0]).tolist() == [0, 1, 5]


@given(st.permutations(range(8)), st.lists(st.integers(1, 7), max_size=4))
def test_neither_the_order_of_lines_nor_how_they_are_batched_changes_a_frame(order, cuts):
    edges = [0, *sorted(set(cuts)), 8]
    parts = [order[a:b] for a, b in pairwise(edges)]
    batches = [lines(p, [(len(p) - 1, LAST)] if p is parts[-1] else []) for p in parts]
    (frame,) = frames(run(batches))
    np.testing.assert_array_equal(frame.hybrid[0, 0, :, 0], np.arange(8) + 1)
    assert frame.acquired.all()
    assert frame.flags == ()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 12))
def test_every_slice_contrast_and_repetition_becomes_one_frame_with_all_its_lines(slices, contrasts, repetitions, size):
    whole = [
        (line, s, c, r)
        for r in range(repetitions)
        for line in range(8)
        for s in range(slices)
        for c in range(contrasts)
    ]
    batches = []
    for start in range(0, len(whole), size):
        part = np.array(whole[start : start + size])
        batches.append(lines(part[:, 0], slice=part[:, 1], contrast=part[:, 2], repetition=part[:, 3]))
    got = frames(run(batches))
    assert len(got) == slices * contrasts * repetitions
    assert all(f.acquired.all() and f.hybrid[1, 0, 3, 2] == 4 for f in got)


def test_averages_are_averaged_and_the_frame_leaves_with_the_last_of_them():
    of = scan(average=(0, 1))
    batches = [
        lines(range(8), [(7, LAST)], values=np.full(8, 1), average=0),
        lines(range(8), [(7, LAST)], values=np.full(8, 3), average=1),
    ]
    (frame,) = frames(run(batches, of))
    assert np.all(frame.hybrid == 2)
    assert frame.averages == 2


def test_segments_of_one_frame_come_together():
    batches = [lines(range(0, 8, 2), segment=0), lines(range(1, 8, 2), [(3, LAST)], segment=1)]
    (frame,) = frames(run(batches))
    assert frame.acquired.all()


@pytest.mark.parametrize("together", [True, False])
def test_of_a_repeated_line_the_last_one_stays_and_it_is_flagged(together):
    steps, values = [0, 1, 2, 2, 3, 4, 5, 6, 7], [1, 1, 1, 9, 1, 1, 1, 1, 1]
    whole = lines(steps, [(8, LAST)], values=values)
    split = [
        lines([s], [(0, LAST)] if n == 8 else [], values=[v])
        for n, (s, v) in enumerate(zip(steps, values, strict=True))
    ]
    (frame,) = frames(run([whole] if together else split))
    assert frame.hybrid[0, 0, 2, 0] == 9
    assert [(f.code, f.severity, f.evidence["lines"]) for f in frame.flags] == [("repeated_lines", Severity.WARN, [2])]


@pytest.mark.parametrize("together", [True, False])
def test_lines_that_come_when_their_frame_has_left_make_no_frame_and_are_told_by_whether_they_had_come(together):
    first = lines([0, 1, 2, 3, 4, 6, 7], [(6, LAST)])
    back = lines([6, 7, 5], [(1, LAST)])
    back.headers["scan_counter"] = [6, 7, 5]
    parts = [back] if together else [replace(back, headers=back.headers[n : n + 1]) for n in range(3)]
    parts = [replace(part, samples=part.samples[: len(part.headers)]) for part in parts]
    got = run([first, *parts])
    assert [frame.reason for frame in frames(got)] == ["last flag"]
    told = [(flag.code, flag.severity, flag.evidence["lines"]) for flag in got if isinstance(flag, Flag)]
    assert ("unused_readouts", Severity.WARN, [5]) in told
    assert [line for code, _, which in told for line in which if code == "repeated_lines"] == [6, 7]


def test_a_frame_that_is_acquired_again_from_its_first_line_is_another_frame():
    assert len(frames(run([lines(range(8), [(7, LAST)]) for _ in range(3)]))) == 3


def test_a_line_outside_the_limits_is_not_used_and_said_once():
    got = run([lines([0, 1, 99]), lines([2, 98, 3, 4, 5, 6, 7], [(6, LAST)])])
    assert [m.code for m in got if isinstance(m, Flag)] == ["line_outside_limits", "unused_readouts"]
    assert frames(got)[0].acquired.all()


def test_navigators_and_phase_correction_lines_never_reach_a_frame():
    got = run([lines([4], [(0, AcqFlag.IS_PHASECORR_DATA)], values=[77]), lines(range(8), [(7, LAST)])])
    assert frames(got)[0].hybrid[0, 0, 4, 0] == 5
    assert [(m.code, m.score) for m in got if isinstance(m, Flag)] == [("unused_readouts", 1)]


def test_partial_fourier_lines_stand_where_their_distance_from_the_centre_says():
    (frame,) = frames(run([lines(range(6), [(5, LAST)])], scan(last=5, centre=2)))
    assert np.flatnonzero(frame.acquired[0]).tolist() == [2, 3, 4, 5, 6, 7]
    assert frame.flags == ()


def embedded():
    """Sixteen lines, R = 2 from 0, calibration 6 … 9 flagged as a Siemens scanner does."""
    steps = sorted({*range(0, 16, 2), *range(6, 10)})
    flags = [(steps.index(s), BOTH if s % 2 == 0 else CAL) for s in range(6, 10)]
    return steps, [*flags, (len(steps) - 1, LAST)]


@pytest.mark.parametrize("size", [1, 3, 10])
def test_embedded_calibration_leaves_with_the_first_line_after_it_and_long_before_its_frame(size):
    steps, flags = embedded()
    by_position = dict(flags)
    batches = []
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        batches.append(lines(part, [(n, by_position[start + n]) for n in range(len(part)) if start + n in by_position]))
    of = scan(lines=16, acceleration=2, calibration="embedded")
    got = run(batches, of)
    reference, frame = got
    assert isinstance(reference, Reference)
    assert not reference.separate
    np.testing.assert_array_equal(
        reference.hybrid[0, 0, :, 0], np.arange(4, 11)[reference.first_line - 4 :][: reference.hybrid.shape[2]] + 1
    )
    assert reference.first_line <= 6
    assert reference.first_line + reference.hybrid.shape[2] >= 10
    np.testing.assert_array_equal(reference.expected[0], frame.acquired[0])
    assert frame.flags == ()
    if size == 1:
        assert pulls_until(Reference, batches, of) == steps.index(9) + 2


def test_separate_calibration_lines_make_a_reference_and_no_frame():
    of = scan(lines=16, acceleration=2, calibration="separate")
    calibration = lines(range(4, 12), [(n, CAL) for n in range(8)] + [(7, LAST)])
    imaging = lines(range(0, 16, 2), [(7, LAST)])
    got = run([calibration, imaging], of)
    assert [type(m) for m in got] == [Reference, Frame]
    assert got[0].separate
    assert got[0].first_line == 4
    assert np.flatnonzero(got[1].acquired[0]).tolist() == list(range(0, 16, 2))
    assert got[1].flags == ()


def test_a_missing_line_of_an_accelerated_scan_is_told_from_one_that_was_never_meant_to_come():
    steps = [s for s in range(1, 16, 3) if s != 7]
    (frame,) = frames(run([lines(steps, [(len(steps) - 1, LAST)])], scan(lines=16, acceleration=3)))
    assert [f.evidence["lines"] for f in frame.flags] == [[7]]

"""Laws of compress_lines: images from fewer coils, nothing lost, and no line before its matrix."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.compression import compression
from gadgets.compress_lines import compress_lines
from protocols.messages import Text
from protocols.mrd import AcqFlag
from tests.making import LAST, context, lines, scan

CAL = AcqFlag.IS_PARALLEL_CALIBRATION


def reference(slice_=0, last=False):
    return lines([2, 3, 4, 5], [(n, CAL) for n in range(4)] + ([(3, LAST)] if last else []), coils=4, slice=slice_)


def imaging(slice_=0):
    return lines([0, 2, 4, 6], coils=4, slice=slice_)


def run(messages, coils=2, calibration="separate"):
    of = scan(acceleration=2, calibration=calibration)
    return list(compress_lines(context(of), coils)(iter(messages)))


def test_calibration_and_imaging_lines_of_a_slice_are_compressed_by_the_matrix_that_its_calibration_lines_teach():
    told, image = reference(), imaging()
    got = run([told, image])
    matrix = compression(told.samples.swapaxes(0, 1), 2)
    assert [m.samples.shape[1] for m in got] == [2, 2]
    np.testing.assert_allclose(got[0].samples, matrix @ told.samples, rtol=1e-5)
    np.testing.assert_allclose(got[1].samples, matrix @ image.samples, rtol=1e-5)


def test_calibration_lines_that_end_with_a_last_flag_do_not_wait_for_an_image():
    tape = iter([reference(last=True), imaging()])
    first = next(compress_lines(context(scan(acceleration=2, calibration="separate")), 2)(tape))
    assert first.samples.shape[1] == 2
    assert len(list(tape)) == 1


def test_held_back_lines_leave_at_the_end_of_the_stream():
    assert [len(m.headers) for m in run([reference()])] == [4]


@given(st.lists(st.sampled_from([(0, True), (0, False), (1, True), (1, False)]), max_size=8))
def test_every_line_comes_out_once_and_strangers_pass(order):
    batches = [reference(slice_) if calibrating else imaging(slice_) for slice_, calibrating in order]
    got = run([Text("a"), *batches])
    assert isinstance(got[0], Text)
    assert sum(len(m.headers) for m in got[1:]) == 4 * len(order)


def test_a_batch_of_both_kinds_and_two_slices_is_divided():
    whole = [reference(0), imaging(0), reference(1), imaging(1)]
    mixed = whole[0].__class__(
        np.concatenate([m.headers for m in whole]), np.concatenate([m.samples for m in whole]), arrived_ns=7
    )
    got = run([mixed])
    assert [len(m.headers) for m in got] == [4, 4, 4, 4]
    assert {m.samples.shape[1] for m in got} == {2}


def test_slices_without_calibration_lines_and_embedded_calibration_pass_as_they_are():
    image = imaging()
    assert run([image])[0] is image
    told = reference()
    assert run([told], calibration="embedded")[0] is told


def test_as_many_coils_as_there_are_or_none_asked_for_changes_nothing():
    told = reference()
    assert run([told], coils=4)[0] is told
    assert run([told], coils=0)[0] is told

"""Laws of the spikes gadget: said once with its place, judged by the limit, mended only when asked, and then told."""

import numpy as np
import pytest

from gadgets.raw_mark import mark
from gadgets.raw_spikes import spikes
from gadgets.recipe import problems
from protocols.events import Flag, Severity
from protocols.messages import Image, Readouts
from protocols.mrd import IMAGE, AcqFlag
from protocols.scan_protocol import parse
from tests.making import LAST, TOML, context, readouts

LIMIT = '[limits.spikes]\nvalue = 0\ndirection = "max"\nunit = "readouts"\n'


def batch(hit=(), seed=1, **more):
    """Eight readouts of noise; spikes of 40 noise standard deviations in coil 1, sample 20, of those hit."""
    made = readouts(range(8), samples=64, seed=seed, **more)
    made.samples[list(hit), 1, 20] += 40
    return made


def run(batches, toml=TOML + LIMIT, **how):
    got = list(spikes(context(toml=toml), **how)(iter(batches)))
    return [m for m in got if isinstance(m, Flag)], [m for m in got if isinstance(m, Readouts)]


def test_a_spike_is_flagged_at_once_with_slice_line_coil_label_and_sample_and_again_with_the_scans_total():
    (first, total), _ = run([batch(), batch([3], seed=2, slice=4)])
    assert (first.severity, first.score, first.limit) == (Severity.WARN, 1, 0)
    wanted = {"slice": 4, "line": 3, "coil": 1, "label": "A2", "sample": 20}
    assert wanted.items() <= first.evidence.items()
    assert first.advice.startswith("repeat slice 4")
    assert (total.severity, total.score) == (Severity.WARN, 1)


def test_a_clean_scan_passes_and_without_a_limit_nothing_is_judged():
    ((passed,), _) = run([batch()])
    assert (passed.severity, passed.score, passed.advice) == (Severity.PASS, 0, "")
    ((unknown,), _) = run([batch()], toml=TOML)
    assert unknown.severity is Severity.UNKNOWN
    assert "[limits.spikes]" in unknown.message


def test_more_spikes_of_a_frame_are_told_once_when_it_ends_and_not_readout_by_readout():
    batches = [batch([n], seed=n) for n in range(6)] + [batch(seed=9, flags=[(7, LAST)])]
    (first, all_, total), _ = run(batches)
    assert [f.score for f in (first, all_, total)] == [1, 6, 6]
    assert all_.evidence["lines"] == list(range(6))


def test_a_noise_readout_is_not_searched():
    noise = batch([2], flags=[(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(8)])
    ((passed,), _) = run([noise])
    assert passed.severity is Severity.PASS


def test_samples_that_the_header_says_to_discard_are_not_searched():
    spoilt = batch([2])
    spoilt.headers["discard_pre"] = 30
    ((passed,), _) = run([spoilt])
    assert passed.severity is Severity.PASS


def test_flagging_leaves_every_sample_and_interpolating_changes_the_spike_alone():
    sent = batch([5])
    before = sent.samples.copy()
    _, (got,) = run([sent])
    np.testing.assert_array_equal(got.samples, before)
    _, (mended,) = run([sent], despike="interpolate")
    assert np.argwhere(mended.samples != before).tolist() == [[5, 1, 20]]
    assert abs(mended.samples[5, 1, 20]) < 10


def test_the_image_of_a_mended_frame_says_so_and_no_other_does():
    flags, _ = run([batch([3, 5], slice=4)], despike="interpolate")

    def image(slice_):
        header = np.zeros((), IMAGE)
        header["slice"] = slice_
        return Image(header[()], np.zeros((1, 1, 2, 2), np.uint16), {"ImageComments": "a head"})

    other, mended = [m for m in mark(context())(iter([*flags, image(3), image(4)])) if isinstance(m, Image)]
    assert "Scanside.DespikedSamples" not in other.meta
    assert mended.meta["Scanside.DespikedSamples"] == "2"
    assert mended.meta["ImageComments"] == "a head; 2 samples of raw data with spikes were interpolated"


def test_a_scan_protocol_may_not_mend_without_marking_its_images():
    order = '"spikes", "oversampling", "accumulate", "reconstruct", "finish"'
    text = 'name = "x"\ntitle = "x"\n[chain]\norder = [{}]\n[chain.spikes]\ndespike = "interpolate"\n'
    (problem,) = problems(parse(text.format(order), "x.toml"))
    assert problem.key == "chain.spikes.despike"
    assert problems(parse(text.format(order + ', "mark"'), "x.toml")) == []


def test_a_readout_that_is_only_flagged_goes_on_before_it_is_judged():
    sent = batch([5])
    assert next(iter(spikes(context(toml=TOML + LIMIT))(iter([sent])))) is sent


@pytest.mark.parametrize("asked", ["flag", "interpolate"])
def test_a_readout_that_lies_unaligned_and_read_only_in_the_receive_buffer_is_searched_and_left_alone(asked):
    sent = batch([5])
    raw = np.zeros(sent.samples.nbytes + 2, np.uint8)
    raw[2:] = np.frombuffer(sent.samples.tobytes(), np.uint8)
    raw.flags.writeable = False
    view = raw[2:].view(np.complex64).reshape(sent.samples.shape)
    (first, _), _ = run([Readouts(sent.headers, sent.trajectory, view, 1)], despike=asked)
    assert first.evidence["line"] == 5

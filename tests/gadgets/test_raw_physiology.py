"""Laws of the physiology gadget: a trace that comes passes, one that is absent, stops or is flat is told."""

import numpy as np
import pytest

from gadgets.raw_physiology import physiology
from gadgets.recipe import problems
from protocols.events import Flag, Severity
from protocols.messages import Waveforms
from protocols.mrd import WAVEFORM
from protocols.scan_protocol import parse
from tests.making import ORDER, TOML, context, readouts

LIMIT = '[limits.physiology]\nvalue = 2.0\ndirection = "max"\nunit = "s"\n'
SECOND = 400  # ticks of the scanner's clock


def block(trace=0, flat=False):
    header = np.zeros((), WAVEFORM)[()]
    header["waveform_id"] = trace
    samples = np.zeros((2, 400), np.uint32) if flat else np.arange(800, dtype=np.uint32).reshape(2, 400)
    return Waveforms(header, samples)


def scan_of(blocks, seconds=10, ticks=SECOND):
    """Four readouts a second; `blocks` gives what comes behind each second, or None."""
    for second in range(seconds):
        batch = readouts(range(4))
        batch.headers["acquisition_time_stamp"] = 1000 + (second * 4 + np.arange(4)) * (ticks // 4)
        yield batch
        if (trace := blocks(second)) is not None:
            yield trace


def flags(blocks, toml=TOML + LIMIT, wanted="ecg", **more):
    made = physiology(context(toml=toml), wanted)
    return [m for m in made(scan_of(blocks, **more)) if isinstance(m, Flag)]


@pytest.mark.parametrize(("wanted", "number"), [("ecg", 0), ("pulse", 1), ("respiration", 2)])
def test_a_trace_that_comes_every_second_passes_and_another_one_does_not_stand_in_for_it(wanted, number):
    (flag,) = flags(lambda second: block(number), wanted=wanted)
    assert flag.severity is Severity.PASS
    assert flags(lambda second: block(number + 1), wanted=wanted)[-1].severity is Severity.WARN


@pytest.mark.parametrize("silence", [lambda second: None, lambda second: block(flat=True)])
def test_a_trace_that_is_absent_or_flat_is_told_when_the_limit_has_passed_and_at_the_end(silence):
    early, last = flags(silence)
    assert early.severity is last.severity is Severity.WARN
    assert 2.0 < early.score <= 3.0
    assert last.score == pytest.approx(9.75)


def test_an_electrode_that_falls_off_in_mid_scan_is_told():
    assert [f.severity for f in flags(lambda second: block() if second < 5 else None)] == [Severity.WARN] * 2


def test_without_a_clock_or_a_limit_it_is_unknown_and_without_readouts_nothing_is_said():
    (still,) = flags(lambda second: None, ticks=0)
    assert still.severity is Severity.UNKNOWN
    assert "0 blocks" in still.message
    (flag,) = flags(lambda second: block(), toml=TOML)
    assert flag.severity is Severity.UNKNOWN
    assert flags(lambda second: block(), seconds=0) == []


def test_a_scan_protocol_may_ask_for_a_trace_by_name_and_a_wrong_name_is_told_with_the_right_ones():
    toml = TOML.replace(str(ORDER), str(["physiology", *ORDER[1:]]))
    asked = toml.replace("[limits.snr]", '[chain.physiology]\nwanted = "{}"\n[limits.snr]', 1)
    assert problems(parse(asked.format("pulse"), "test.toml")) == []
    (wrong,) = problems(parse(asked.format("puls"), "test.toml"))
    assert "'pulse'" in str(wrong)

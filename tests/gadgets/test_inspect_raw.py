"""Laws of inspect: bad samples never pass, good ones always do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgets.inspect_raw import inspect
from protocols.events import Flag, Severity
from protocols.messages import Failure, Readouts
from tests.making import TOML, context, readouts


def run(batches):
    return list(inspect(context())(iter(batches)))


def passed(messages):
    return [int(line) for m in messages if isinstance(m, Readouts) for line in m.headers["idx"]["kspace_encode_step_1"]]


@given(st.sets(st.integers(0, 7)), st.sampled_from([np.nan, np.inf, -np.inf, complex(0, np.nan)]), st.booleans())
def test_a_readout_that_is_not_finite_is_taken_out_and_flagged_and_no_other_is(bad, value, together):
    batch = readouts(range(8))
    for line in bad:
        batch.samples[line, 1, 3] = value
    batches = [batch] if together else [readouts([n], data=batch.samples[n : n + 1]) for n in range(8)]
    got = run(batches)
    assert passed(got) == [n for n in range(8) if n not in bad]
    flagged = [
        line for m in got if isinstance(m, Flag) and m.code == "non_finite_samples" for line in m.evidence["lines"]
    ]
    assert sorted(flagged) == sorted(bad)


@pytest.mark.parametrize("other", [{"coils": 3}, {"samples": 9}])
def test_another_coil_or_sample_count_in_mid_scan_ends_the_stream_and_keeps_what_came(other):
    got = run([readouts(range(3)), readouts([3], **other), readouts([4])])
    assert passed(got) == [0, 1, 2]
    (failure,) = [m for m in got if isinstance(m, Failure)]
    assert "scan began with 2 x 8" in failure.reason
    assert got[-1] is failure


def test_a_receiver_at_the_end_of_its_range_is_flagged_with_its_line_and_coil():
    batch = readouts(range(4))
    batch.samples.real[2, 1] = np.clip(batch.samples.real[2, 1] * 100, -50, 50)
    first, total = [m for m in run([batch]) if isinstance(m, Flag)]
    assert (first.code, first.evidence["line"], first.evidence["coils"]) == ("saturated_samples", 2, [1])
    assert (first.evidence["label"], first.score, total.score) == ("A2", 1, 1)


@pytest.mark.parametrize(("allowed", "severity"), [(0, Severity.FAIL), (1, Severity.PASS), (None, Severity.UNKNOWN)])
def test_saturation_is_judged_by_the_limit_and_unknown_without_one(allowed, severity):
    batch = readouts(range(4))
    batch.samples.real[2, 1] = np.clip(batch.samples.real[2, 1] * 100, -50, 50)
    limit = f'[limits.saturated_samples]\nvalue = {allowed}\ndirection = "max"\nunit = "readouts"\nseverity = "FAIL"\n'
    surroundings = context(toml=TOML + (limit if allowed is not None else ""))
    flags = [m for m in inspect(surroundings)(iter([batch])) if isinstance(m, Flag)]
    assert [f.severity for f in flags] == [severity] * 2


@given(st.integers(0, 1000))
def test_noise_alone_is_never_called_saturated(seed):
    (total,) = [m for m in run([readouts(range(8), seed=seed)]) if isinstance(m, Flag)]
    assert total.score == 0

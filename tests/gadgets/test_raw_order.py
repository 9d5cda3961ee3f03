"""Laws of the order gadget: what comes late and what never comes is counted exactly, in any batches."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgets.raw_order import order
from hw_sim.replay import read_recording
from protocols.events import Flag, Severity
from tests.making import TOML, context, readouts

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
LIMITS = "".join(
    f'[limits.{code}]\nvalue = 0\ndirection = "max"\nunit = "readouts"\n' for code in ("readout_order", "lost_readouts")
)
COUNT = 64


def sent(numbers, cuts=(), stamps=None):
    """Batches of readouts with these numbers, cut before these places."""
    whole = readouts(range(len(numbers)))
    whole.headers["scan_counter"] = numbers
    whole.headers["acquisition_time_stamp"] = 1000 + np.asarray(numbers) * 2 if stamps is None else stamps
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(numbers)}), len(numbers)]
    return [whole.part(slice(a, b)) for a, b in pairwise(edges)]


def flags(batches, toml=TOML + LIMITS):
    return {m.code: m for m in order(context(toml=toml))(iter(batches)) if isinstance(m, Flag)}


CUTS = st.lists(st.integers(1, COUNT - 1), max_size=6)


@given(CUTS, st.integers(0, 2**31))
def test_readouts_in_their_order_pass_whatever_the_batches(cuts, first):
    told = flags(sent(np.arange(first, first + COUNT), cuts))
    assert {code: (f.severity, f.score) for code, f in told.items()} == {
        "readout_order": (Severity.PASS, 0),
        "lost_readouts": (Severity.PASS, 0),
    }


@given(CUTS, st.integers(1, COUNT - 10), st.integers(1, 8))
def test_a_readout_that_others_overtake_is_named_and_none_is_lost(cuts, which, overtaken_by):
    numbers = list(range(1, COUNT + 1))
    numbers.insert(which + overtaken_by, numbers.pop(which))
    told = flags(sent(numbers, cuts))
    assert (told["readout_order"].severity, told["readout_order"].score) == (Severity.WARN, 1)
    assert told["readout_order"].evidence["readouts"] == [which + 1]
    assert told["lost_readouts"].severity is Severity.PASS


@given(CUTS, st.sets(st.integers(2, COUNT - 1), min_size=1, max_size=9))
def test_all_numbers_that_never_come_are_named(cuts, lost):
    told = flags(sent([n for n in range(1, COUNT + 1) if n not in lost], cuts))
    assert told["readout_order"].severity is Severity.PASS
    assert (told["lost_readouts"].severity, told["lost_readouts"].score) == (Severity.WARN, len(lost))
    assert told["lost_readouts"].evidence["readouts"] == sorted(lost)


@given(CUTS, st.integers(0, COUNT - 1))
def test_a_readout_sent_twice_is_neither_late_nor_lost(cuts, which):
    numbers = list(range(1, COUNT + 1))
    numbers.insert(which, numbers[which])
    assert {f.severity for f in flags(sent(numbers, cuts)).values()} == {Severity.PASS}


@given(CUTS)
def test_a_clock_that_runs_back_is_told(cuts):
    stamps = np.arange(COUNT) + 50
    stamps[20:] -= 5
    flag = flags(sent(range(1, COUNT + 1), cuts, stamps))["readout_order"]
    assert (flag.severity, flag.score, flag.evidence["readout"]) == (Severity.WARN, 1, 21)


def test_a_second_part_that_counts_from_the_first_number_again_is_no_disorder():
    again = [*range(1, 33), *range(1, 33)]
    assert {f.severity for f in flags(sent(again, stamps=np.arange(64))).values()} == {Severity.PASS}


def test_numbers_that_stand_still_are_unknown_and_so_is_a_scan_protocol_without_limits():
    (flag,) = flags(sent(np.zeros(COUNT, int))).values()
    assert flag.severity is Severity.UNKNOWN
    assert {f.severity for f in flags(sent(range(1, COUNT + 1)), toml=TOML).values()} == {Severity.UNKNOWN}


def test_more_numbers_left_out_than_are_waited_for_are_still_counted():
    told = flags(sent([1, 2, 1_000_000, 1_000_001]))
    assert told["lost_readouts"].score == 1_000_000 - 3


@pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")
def test_real_scans_are_in_order():
    for path in sorted(DATA.glob("*.h5")):
        heads = read_recording(path).headers
        batch = readouts(range(len(heads)))
        batch.headers[:] = heads
        assert not [f for f in flags([batch]).values() if f.severity is not Severity.PASS], path.stem

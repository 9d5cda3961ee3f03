"""Laws of the drift gadget: a coil or an array whose noise has changed since earlier scans is told, gain is not."""

from dataclasses import replace

import numpy as np
import pytest

from gadgets.context import Memory
from gadgets.raw_drift import MOST_SCANS, drift
from protocols.events import Flag, Severity
from protocols.messages import NoiseScan
from tests.making import TOML, context, scan

LIMITS = '[limits.swapped_coils]\nvalue = 0.6\ndirection = "max"\nunit = "1"\n' + "".join(
    f'[limits.{code}]\nvalue = 3.0\ndirection = "max"\nunit = "dB"\n' for code in ("noise_drift", "noise_level")
)
LEVEL = np.linspace(0.5, 2.0, 8)
SHARED = np.corrcoef(np.random.default_rng(5).standard_normal((8, 12)))  # noise that coils have in common


def judged(memory, power, dwell_us=5.0, source="this scan", name="head", toml=TOML + LIMITS, shared=None):
    """Flags of one scan by code; its noise goes into the memory."""
    made = replace(context(of=replace(scan(), coils=8, protocol_name=name), toml=toml), memory=memory)
    covariance = SHARED if shared is None else shared
    noise = NoiseScan((covariance * np.sqrt(np.outer(power, power))).astype(np.complex64), 8192, dwell_us, source)
    return {m.code: m for m in drift(made)(iter([noise])) if isinstance(m, Flag)}


def after_three(spread=0.0):
    memory = Memory()
    for seed in range(3):
        judged(memory, LEVEL * 10 ** (spread * np.random.default_rng(seed).standard_normal(8) / 10))
    return memory


def test_the_first_three_scans_are_unknown_and_the_fourth_is_judged():
    memory = Memory()
    for _ in range(3):
        assert {f.severity for f in judged(memory, LEVEL).values()} == {Severity.UNKNOWN}
    assert {f.severity for f in judged(memory, LEVEL).values()} == {Severity.PASS}


@pytest.mark.parametrize("coil", range(8))
@pytest.mark.parametrize("db", [-6.0, 4.0, 14.0])
def test_a_coil_whose_noise_has_changed_is_named(coil, db):
    power = LEVEL.copy()
    power[coil] *= 10 ** (db / 10)
    flag = judged(after_three(0.1), power)["noise_drift"]
    assert (flag.severity, flag.evidence["coil"]) == (Severity.WARN, coil)
    assert flag.evidence["change_db"] == pytest.approx(db, abs=0.4)


def test_noise_of_the_whole_array_is_told_in_the_same_scan_protocol_and_taken_for_gain_in_another():
    memory = after_three()
    assert judged(memory, LEVEL * 4, name="another")["noise_level"].severity is Severity.UNKNOWN
    flags = judged(memory, LEVEL * 4)
    assert (flags["noise_level"].severity, flags["noise_drift"].severity) == (Severity.WARN, Severity.PASS)
    assert flags["noise_level"].evidence["change_db"] == pytest.approx(6.02, abs=0.1)


def test_another_dwell_time_is_no_change_of_a_coil():
    assert judged(after_three(), LEVEL / 4, dwell_us=20.0)["noise_drift"].score == pytest.approx(0, abs=1e-6)


def test_noise_kept_from_another_scan_is_not_judged_again():
    assert judged(after_three(), LEVEL * 100, source="scan 1") == {}


def test_noise_is_judged_once_a_scan_and_memory_is_bounded():
    memory = Memory()
    for _ in range(MOST_SCANS + 5):
        judged(memory, LEVEL)
    assert max(len(kept) for kept in memory.levels._values.values()) == MOST_SCANS
    noise = NoiseScan(np.eye(8, dtype=np.complex64), 8192, 5.0, "this scan")
    assert len([m for m in drift(context())(iter([noise, noise])) if isinstance(m, Flag)]) == 3


def test_without_a_limit_it_is_unknown():
    assert {f.severity for f in judged(after_three(), LEVEL, toml=TOML).values()} == {Severity.UNKNOWN}


def test_two_coils_that_were_exchanged_are_named_whatever_the_gain_of_their_receivers():
    order = [0, 5, 2, 3, 4, 1, 6, 7]
    flag = judged(after_three(0.1), LEVEL[::-1], shared=SHARED[np.ix_(order, order)])["swapped_coils"]
    assert (flag.severity, flag.evidence["coils"]) == (Severity.WARN, [1, 5])
    assert flag.score > 0.95


def test_coils_without_common_noise_cannot_be_told_apart():
    memory = Memory()
    flags = [judged(memory, LEVEL, shared=np.eye(8))["swapped_coils"] for _ in range(4)]
    assert {flag.severity for flag in flags} == {Severity.UNKNOWN}

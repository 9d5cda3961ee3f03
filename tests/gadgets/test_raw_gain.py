"""Laws of the gain gadget: a coil whose noise changes in mid-scan is told with its line, a steady one passes."""

import numpy as np
import pytest

from gadgets.raw_gain import gain
from protocols.events import Flag, Severity
from protocols.mrd import AcqFlag
from tests.engines.coils import noise_like
from tests.engines.quality.readouts import scanned
from tests.making import TOML, context, readouts, scan

LIMIT = '[limits.gain_change]\nvalue = 3.0\ndirection = "max"\nunit = "dB"\n'


def flags(batches, toml=TOML + LIMIT):
    of = scan(lines=128, samples=128)
    return [m for m in gain(context(of=of, toml=toml))(iter(batches)) if isinstance(m, Flag)]


def batches(seed=1, size=8, since=128, coil=3, db=-6.0, **more):
    """The head in batches of lines; from line `since` on a coil has another gain."""
    samples = scanned(seed)
    samples[since:, coil] *= np.float32(10 ** (db / 20))
    for begin in range(0, 128, size):
        part = samples[begin : begin + size]
        yield readouts(range(begin, begin + size), data=part, coils=8, samples=part.shape[2], **more)


@pytest.mark.parametrize("size", [1, 4, 8, 32])
def test_a_gain_that_drops_by_6_db_in_mid_scan_is_told_with_its_coil_before_the_scan_ends(size):
    for seed in range(4):
        early, last = flags(batches(seed, size=size, since=20 + 20 * seed, coil=seed))
        for flag in (early, last):
            assert (flag.severity, flag.evidence["coil"]) == (Severity.WARN, seed)
        assert -8 < early.evidence["change_db"] < -3  # of lines before and after it
        assert last.evidence["change_db"] == pytest.approx(-6, abs=1.5)
        assert early.evidence["line"] >= 20 + 20 * seed


def test_a_steady_head_passes_in_every_one_of_ten_scans_and_its_motion_is_no_change_of_gain():
    for seed in range(10):
        (flag,) = flags(batches(seed))
        assert flag.severity is Severity.PASS
        (flag,) = flags([*batches(seed), *(b for b in batches(seed + 20, coil=0, since=0, db=0.0))])
        assert flag.severity is Severity.PASS


def test_the_noise_of_short_readouts_wanders_by_less_than_two_thirds_of_the_limit():
    worst = []
    for seed in range(6):
        steady = noise_like((640, 8, 192), seed)
        parts = [steady[begin : begin + 8] for begin in range(0, 640, 8)]
        (flag,) = flags(readouts([0] * 8, data=part, coils=8, samples=192) for part in parts)
        worst.append(flag.score)
    assert np.mean(worst) < 0.65 * 3.0


def test_without_a_limit_or_with_too_few_outer_lines_it_is_unknown_and_noise_readouts_do_not_count():
    (flag,) = flags(batches(since=64), toml=TOML)
    assert flag.severity is Severity.UNKNOWN
    (flag,) = flags(list(batches())[:1])
    assert flag.severity is Severity.UNKNOWN
    assert "too few" in flag.message
    noise = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(8)]
    assert flags(batches(flags=noise)) == []

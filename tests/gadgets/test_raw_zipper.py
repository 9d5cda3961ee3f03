"""Laws of the zipper gadget: a transmitter is told with its frequency, anatomy and a moment's noise are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gadgets.raw_zipper import zipper
from hw_sim.replay import read_recording
from protocols.events import Flag, Severity
from protocols.header import parse_header
from protocols.messages import Readouts
from protocols.mrd import AcqFlag
from tests.engines.quality.readouts import scanned
from tests.making import TOML, context, readouts, scan

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
LIMIT = '[limits.zipper]\nvalue = 6.0\ndirection = "max"\nunit = "dB"\n'


def flags(batches, of=None, toml=TOML + LIMIT):
    of = of or scan(lines=128)
    return [m for m in zipper(context(of=of, toml=toml))(iter(batches)) if isinstance(m, Flag)]


def batches(seed=1, amplitude=0.0, khz=13.0, since=0):
    """The head in blocks of eight lines; a tone of random phase from line `since` on, dwell 10 us."""
    samples = scanned(seed)
    rng = np.random.default_rng(seed)
    phase = np.exp(2j * np.pi * rng.random((len(samples), 1, 1)))
    tone = amplitude * phase * np.exp(2j * np.pi * khz * 1e3 * 10e-6 * np.arange(samples.shape[2]))
    samples[since:] += tone[since:].astype(np.complex64)
    for begin in range(0, len(samples), 8):
        yield readouts(range(begin, begin + 8), data=samples[begin : begin + 8], coils=8, samples=samples.shape[2])


def test_a_tone_as_strong_as_the_noise_is_told_in_mid_scan_with_its_frequency_in_every_one_of_20_scans():
    for seed in range(20):
        khz = -45 + 90 * seed / 20
        early, last = flags(batches(seed, amplitude=1.0, khz=khz))
        assert early.severity is last.severity is Severity.WARN
        assert abs(last.evidence["offset_hz"] - khz * 1e3) <= 1e6 / 10 / 256


def test_a_head_without_interference_passes_in_every_one_of_20_scans():
    for seed in range(20):
        (flag,) = flags(batches(seed))
        assert flag.severity is Severity.PASS


def test_what_stands_in_the_first_of_two_slices_alone_is_not_told_in_mid_scan_and_what_stands_in_both_is():
    of = scan(lines=128, slice=(0, 1))

    def stack(second):
        yield from batches(amplitude=1.0)
        for batch in batches(2, amplitude=second):
            batch.headers["idx"]["slice"] = 1
            yield batch

    assert [flag.severity for flag in flags(stack(0.0), of=of)] == [Severity.PASS]
    assert [flag.severity for flag in flags(stack(1.0), of=of)] == [Severity.WARN, Severity.WARN]


def test_under_anatomy_in_a_short_scan_a_tone_is_told_since_its_last_outer_lines_count_though_they_fill_no_block():
    head = scanned(1, snr=500.0)
    order = [*range(0, 52, 6), *range(52, 76), *range(78, 128, 5)]
    wave = 2.0 * np.exp(2j * np.pi * 4e3 * 10e-6 * np.arange(head.shape[2]))
    heard = (head[order] + wave).astype(np.complex64)
    single = [readouts([n], data=heard[n : n + 1], coils=8, samples=head.shape[2]) for n in range(len(order))]
    assert flags(single[:32])[-1].severity is Severity.PASS
    assert flags(single)[-1].severity is Severity.WARN


def test_with_the_resonance_in_the_header_the_frequency_of_the_transmitter_is_told():
    of = replace(scan(lines=128), resonance_hz=123_200_000.0)
    flag = flags(batches(amplitude=1.0), of=of)[-1]
    assert flag.evidence["frequency_hz"] == pytest.approx(123_213_000, abs=400)


def test_without_a_limit_it_is_unknown_and_noise_readouts_and_short_ones_are_not_listened_to():
    (flag,) = flags(batches(amplitude=1.0), toml=TOML)
    assert flag.severity is Severity.UNKNOWN
    noise = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(64)]
    assert flags([readouts(range(64), samples=64, flags=noise)]) == []
    assert flags([readouts(range(64), samples=16)]) == []


def test_too_few_readouts_are_no_evidence_of_silence():
    (flag,) = flags(list(batches(amplitude=1.0))[:2])
    assert flag.severity is Severity.UNKNOWN


@pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")
def test_real_scans_have_no_zipper():
    for path in sorted(DATA.glob("*.h5")):
        recording = read_recording(path)
        made = parse_header(recording.xml)
        if made.encodings[0].trajectory != "cartesian":
            continue
        parts = [
            Readouts(b.headers[n : n + 8], b.trajectory[n : n + 8], b.samples[n : n + 8])
            for b in recording.readouts()
            for n in range(0, len(b.headers), 8)
        ]
        assert not [f for f in flags(parts, of=made) if f.severity in (Severity.WARN, Severity.FAIL)], path.stem

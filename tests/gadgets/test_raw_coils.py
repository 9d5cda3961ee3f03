"""Laws of the coils gadget: a faulty coil is named, the right one, and sound arrays raise no alarm."""

import numpy as np
import pytest

from gadgets.raw_coils import coils
from hw_sim.coils import head_array
from protocols.events import Flag, Severity
from protocols.messages import NoiseScan
from protocols.mrd import AcqFlag
from protocols.scan import Scan
from tests.engines.coils import noise_like
from tests.engines.quality.readouts import clean
from tests.making import TOML, context, readouts, scan

COUNT = 16
LIMITS = "".join(
    f'[limits.{code}]\nvalue = {value}\ndirection = "{way}"\nunit = "{unit}"\n'
    for code, value, way, unit in (
        ("coil_gain", -3.9, "min", "dB"),
        ("coil_noise", 6.0, "max", "dB"),
        ("coil_correlation", 0.9, "max", "1"),
        ("coil_signal", -20.0, "min", "dB"),
    )
)


def noise(seed, covariance):
    """Four noise readouts of 512 samples."""
    white = noise_like((4, len(covariance), 512), seed)
    return (np.linalg.cholesky(covariance).astype(np.complex64) @ white).astype(np.complex64)


def heard(spoil=lambda data: data, seed=1, covariance=None, toml=TOML + LIMITS, **more):
    """Flags of a scan of noise, then the middle of a head in eight of its coils, all spoilt alike."""
    cov = head_array(COUNT).covariance if covariance is None else covariance
    signal = np.tile(clean(oversampling=2)[60:70], (1, len(cov) // 8, 1))
    white = noise_like(signal.shape, seed + 1)
    lines = signal * 4 + (np.linalg.cholesky(cov).astype(np.complex64) @ white)
    sent = [
        readouts(range(4), data=spoil(noise(seed, cov)), coils=len(cov), flags=NOISE),
        readouts(range(10), data=spoil(lines.astype(np.complex64)), coils=len(cov)),
    ]
    return [m for m in coils(context(toml=toml, **more))(iter(sent)) if isinstance(m, Flag)]


NOISE = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(4)]


def gain(coil, factor):
    def spoil(data):
        changed = data.copy()
        changed[:, coil] *= np.float32(factor)
        return changed

    return spoil


def blamed(flags):
    return {(f.code, f.evidence["coil"]) for f in flags if f.severity is not Severity.PASS}


@pytest.mark.parametrize("count", [8, 16, 32])
def test_a_sound_array_passes_every_check_scan_after_scan(count):
    covariance = head_array(count).covariance
    for seed in range(20):
        flags = heard(seed=seed, covariance=covariance)
        assert [f.code for f in flags] == ["coil_gain", "coil_noise", "coil_correlation", "coil_signal"]
        assert {f.severity for f in flags} == {Severity.PASS}


@pytest.mark.parametrize("coil", range(COUNT))
def test_a_receiver_that_lost_6_db_is_named_and_no_other_coil(coil):
    assert blamed(heard(gain(coil, 0.5), seed=coil)) == {("coil_gain", coil)}


@pytest.mark.parametrize("coil", [0, 7, 15])
def test_a_dead_receiver_is_called_dead(coil):
    flags = heard(gain(coil, 0))
    assert ("coil_gain", coil) in blamed(flags)
    assert any("is dead" in f.message for f in flags)


@pytest.mark.parametrize("coil", [0, 7, 15])
def test_a_noisy_receiver_is_named(coil):
    assert blamed(heard(gain(coil, 3.0))) == {("coil_noise", coil)}


def test_a_coil_that_hears_nothing_though_its_noise_is_sound_is_named_from_the_first_lines():
    def deaf(data):
        changed = data.copy()
        changed[:, 5] = noise_like((len(data), data.shape[2]), 9)
        return changed

    assert blamed(heard(deaf)) == {("coil_signal", 5)}


def test_one_signal_on_two_plugs_is_found_by_its_noise():
    def twice(data):
        changed = data.copy()
        changed[:, 6] = changed[:, 2]
        return changed

    (flag,) = [f for f in heard(twice) if f.severity is not Severity.PASS]
    assert (flag.code, flag.evidence["coils"]) == ("coil_correlation", [2, 6])


def test_without_limits_nothing_is_judged_and_without_noise_it_is_said_that_nothing_can_be():
    assert {f.severity for f in heard(toml=TOML)} == {Severity.UNKNOWN}
    lines = readouts(range(10), data=noise_like((10, 2, 64)), samples=64)
    (flag,) = [m for m in coils(context(toml=TOML + LIMITS))(iter([lines])) if isinstance(m, Flag)]
    assert (flag.code, flag.severity) == ("coil_noise", Severity.UNKNOWN)


def test_a_limit_that_has_expired_judges_nothing_and_says_so_once_a_check():
    expired = (TOML + LIMITS).replace('unit = "dB"\n', 'unit = "dB"\nvalid_until = 2020-01-01\n')
    flags = [f for f in heard(gain(3, 0.5), toml=expired) if f.code == "coil_gain"]
    assert [(f.severity, f.evidence["coil"]) for f in flags] == [(Severity.UNKNOWN, 3)]


def test_too_little_signal_is_not_taken_for_silence():
    flags = heard(lambda data: np.ascontiguousarray(noise_like(data.shape, 4)))
    assert [f.severity for f in flags if f.code == "coil_signal"] == [Severity.UNKNOWN]


def test_the_noise_of_an_earlier_scan_serves_to_judge_the_signal():
    made = context(of=Scan(scan().encodings, coils=8, dependencies={"noise": "scan 1"}), toml=TOML + LIMITS)
    made.memory.noise.put(("scan 1",), NoiseScan(np.eye(8, dtype=np.complex64), 100, 5.0, "scan 1"))
    data = (clean()[60:70] * 4 + noise_like((10, 8, 256))).astype(np.complex64)
    data[:, 3] = noise_like((10, 256), 7)
    got = [m for m in coils(made)(iter([readouts(range(10), data=data, coils=8)])) if isinstance(m, Flag)]
    assert blamed(got) == {("coil_signal", 3)}

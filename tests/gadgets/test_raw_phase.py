"""Laws of the phase gadget: drifts and jumps of the field and shifts of the echo are told in their units."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gadgets.raw_phase import phase
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.replay import read_recording
from hw_sim.scanner import Scanner
from protocols.events import Flag, Severity
from protocols.header import parse_header
from protocols.messages import Readouts
from protocols.mrd import AcqFlag
from tests.engines.quality.readouts import scanned
from tests.making import TOML, context, readouts, scan

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
LIMITS = "".join(
    f'[limits.{code}]\nvalue = {value}\ndirection = "max"\nunit = "{unit}"\n'
    for code, value, unit in (("phase_drift", 15, "Hz"), ("phase_jitter", 5, "deg"), ("echo_shift", 0.25, "samples"))
)
CODES = {"phase_drift", "phase_jitter", "echo_shift"}


def told(batches, of, toml=TOML + LIMITS):
    return {m.code: m for m in phase(context(of=of, toml=toml))(iter(batches)) if isinstance(m, Flag)}


def played(*faults, batch=64):
    """Flags of a simulated series of twelve frames."""
    protocol, simulate = sequence_of("brain_live_r4")
    small = simulate.model_copy(update={"matrix": (64, 64), "repetitions": 12})
    staged = stage(Scanner(ASYMMETRIC, head_array(8)), small, Order(protocol.name), [ask(fault) for fault in faults])
    cut = (m.part(slice(n, n + batch)) for m in staged.stream() for n in range(0, len(m.headers), batch))
    return told(cut, staged.played.scan)


def repeated(spoil, times=10, flags=(), line=64):
    """The same line, spoilt by number, as a batch a time, 100 ticks apart."""
    for n in range(times):
        data = spoil(scanned(n)[64:65], n).astype(np.complex64)
        made = readouts([line], data=data, coils=8, samples=256, repetition=n, flags=[(0, f) for f in flags])
        made.headers["acquisition_time_stamp"] = 100 * n
        made.headers["scan_counter"] = n + 1
        yield made


ONCE = replace(scan(lines=128, samples=256), te_ms=(4.0,))
OF = replace(scan(lines=128, samples=256, repetition=(0, 9)), te_ms=(4.0,))


@pytest.mark.parametrize("batch", [1, 64])
def test_a_series_without_fault_passes(batch):
    flags = played(batch=batch)
    assert set(flags) == CODES
    assert {f.severity for f in flags.values()} == {Severity.PASS}


@pytest.mark.parametrize("rate", [-40.0, 40.0])
def test_a_drift_of_the_field_is_told_in_hertz_and_is_no_jitter(rate):
    flags = played(f"b0_drift:{rate}")
    seconds = 11 * 16 * 5e-3  # from the first frame's middle to the last one's
    assert flags["phase_drift"].severity is Severity.WARN
    assert flags["phase_drift"].evidence["drift_hz"] == pytest.approx(rate * seconds, rel=0.02)
    assert flags["phase_jitter"].severity is Severity.PASS


def test_phase_that_jumps_from_shot_to_shot_is_told_in_degrees():
    flag = played("phase_instability:20")["phase_jitter"]
    assert flag.severity is Severity.WARN
    assert 10 < flag.score < 35


@pytest.mark.parametrize("by", [-2, 1])
def test_an_echo_that_shifts_is_told_in_samples_with_its_line(by):
    flag = told(repeated(lambda line, n: np.roll(line, by * (n > 5), axis=2)), OF)["echo_shift"]
    assert (flag.severity, flag.evidence["line"]) == (Severity.WARN, 64)
    assert flag.evidence["shift"] == pytest.approx(by, abs=0.05)


def test_navigators_are_followed_whatever_their_encode_step_and_other_lines_are_not():
    def turned(line, n):
        return line * np.exp(0.05j * n)

    flag = told(repeated(turned, flags=[AcqFlag.IS_NAVIGATION_DATA], line=3), OF)["phase_drift"]
    assert flag.evidence["drift_hz"] == pytest.approx(9 * 0.05 / (2 * np.pi * 4e-3), rel=0.02)
    assert told(repeated(turned, line=3), OF) == {}
    assert told(repeated(turned, flags=[AcqFlag.IS_PARALLEL_CALIBRATION]), OF) == {}


def test_without_time_stamps_the_numbers_of_the_readouts_tell_the_time():
    batches = list(repeated(lambda line, n: line * np.exp(0.05j * n)))
    for batch in batches:
        batch.headers["acquisition_time_stamp"] = 7
    drift = told(batches, OF)["phase_drift"].evidence["drift_hz"]
    assert drift == pytest.approx(9 * 0.05 / (2 * np.pi * 4e-3), rel=0.02)


def test_what_the_scan_promised_and_cannot_be_told_is_unknown_and_of_other_scans_nothing_is_said():
    (once,) = told(repeated(lambda line, n: line, times=2), OF).values()
    assert (once.code, once.severity) == ("phase_drift", Severity.UNKNOWN)
    assert told(repeated(lambda line, n: line, times=2), ONCE) == {}
    (navigated,) = told(repeated(lambda line, n: line, times=2, flags=[AcqFlag.IS_NAVIGATION_DATA]), ONCE).values()
    assert navigated.severity is Severity.UNKNOWN
    few = told(repeated(lambda line, n: line, times=4), OF)
    assert few["phase_jitter"].severity is Severity.UNKNOWN
    nameless = told(repeated(lambda line, n: line), replace(OF, te_ms=()))
    assert nameless["phase_drift"].severity is Severity.UNKNOWN
    assert {f.severity for f in told(repeated(lambda line, n: line), OF, toml=TOML).values()} == {Severity.UNKNOWN}


def test_lines_of_noise_have_no_phase():
    rng = np.random.default_rng(1)
    (flag,) = told(repeated(lambda line, n: rng.standard_normal(line.shape)), OF).values()
    assert "unlike" in flag.message


@pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")
def test_real_scans_raise_no_alarm():
    for path in sorted(DATA.glob("*.h5")):
        recording = read_recording(path)
        parts = (Readouts(b.headers, b.trajectory, b.samples) for b in recording.readouts())
        flags = told(parts, parse_header(recording.xml))
        assert not [f for f in flags.values() if f.severity.broken], path.stem

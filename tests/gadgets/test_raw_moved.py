"""Laws of the moved gadget: a patient who left the place of the calibration is told, with where he went."""

import pytest

from gadgets.accumulate import accumulate
from gadgets.oversampling import oversampling
from gadgets.raw_moved import moved
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from protocols.events import Flag, Severity
from protocols.messages import Frame
from protocols.stream import chain
from tests.making import TOML, context

LIMIT = '[limits.calibration_mismatch]\nvalue = 5.0\ndirection = "max"\nunit = "%"\n'


def told(*faults, toml=TOML + LIMIT, **more):
    """Flags of a simulated series of four frames, and in which order they came among the frames."""
    protocol, simulate = sequence_of("brain_live_r4")
    small = simulate.model_copy(update={"matrix": (96, 96), "repetitions": 4, **more})
    staged = stage(Scanner(ASYMMETRIC, head_array(8)), small, Order(protocol.name), [ask(fault) for fault in faults])
    made = context(of=staged.played.scan, toml=toml)
    gadgets = [gadget(made) for gadget in (whiten, oversampling, accumulate, moved)]
    came = [m for m in chain(*gadgets)(staged.stream()) if isinstance(m, Frame | Flag)]
    return [m for m in came if not isinstance(m, Flag) or m.code == "calibration_mismatch"]


def flags(*faults, **more):
    return [m for m in told(*faults, **more) if isinstance(m, Flag)]


@pytest.mark.parametrize("calibration", ["separate", "embedded"])
def test_a_patient_who_lies_still_passes(calibration):
    (flag,) = flags(calibration=calibration)
    assert flag.severity is Severity.PASS
    assert flag.score < 2


@pytest.mark.parametrize(("along", "key"), [("x", "read_mm"), ("y", "phase_mm")])
def test_calibration_of_another_position_is_told_behind_the_first_frame_with_the_displacement(along, key):
    came = told(f"wrong_calibration:5,along={along}")
    assert [isinstance(m, Flag) for m in came] == [False, True, False, False, False, True]
    assert came[1].severity is Severity.WARN
    assert abs(came[1].evidence[key]) == pytest.approx(5, abs=1.3)


@pytest.mark.parametrize("fault", ["motion@50%:2", "motion@50%:0,turn=3", "table_shift@50%:5"])
@pytest.mark.parametrize("calibration", ["separate", "embedded"])
def test_motion_in_mid_scan_is_told_with_its_repetition(fault, calibration):
    first, last = flags(fault, calibration=calibration)
    assert first.severity is last.severity is Severity.WARN
    assert first.evidence["repetition"] in (1, 2)
    assert last.score >= first.score


def test_noise_and_gain_are_no_motion():
    for fault in ("noise_rise:3", "gain_drop:6,coil=-1"):
        assert {f.severity for f in flags(fault)} == {Severity.PASS}


def test_of_calibration_lines_that_are_a_part_of_the_only_frame_nothing_is_said():
    assert flags(calibration="embedded", repetitions=1) == []


def test_frames_that_share_no_line_with_their_calibration_are_unknown():
    (flag,) = flags(calibration_lines=6)
    assert flag.severity is Severity.UNKNOWN


def test_a_scan_without_calibration_lines_is_not_judged_and_one_without_a_limit_is_unknown():
    assert flags(calibration="none", acceleration=1) == []
    (flag,) = flags("wrong_calibration:10", toml=TOML)
    assert flag.severity is Severity.UNKNOWN

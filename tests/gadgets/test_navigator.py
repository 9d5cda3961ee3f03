"""Laws of the navigator gadget: who moves is told with the frames that were under way, who lies still is not."""

import pytest

from gadgets.navigator import navigator
from gadgets.oversampling import oversampling
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from protocols.events import Flag, Severity
from protocols.stream import chain
from tests.making import TOML, context

LIMITS = """
[limits.navigator_mismatch]
value = 2.0
direction = "max"
unit = "%"
[limits.patient_away]
value = 3
direction = "max"
unit = "navigators"
severity = "FAIL"
"""


def flags(*faults, toml=TOML + LIMITS, **more):
    """What is said of a small scan of four slices, 32 lines and 8 navigators each."""
    _, simulate = sequence_of("brain_gre_r4")
    small = simulate.model_copy(update={
        "matrix": (64, 32), "slices": 4, "acceleration": 1, "calibration": "none", "navigator_every": 4, "snr": 60.0,
        **more,
    })  # fmt: skip
    staged = stage(Scanner(ASYMMETRIC, head_array(8)), small, Order("test"), [ask(fault) for fault in faults])
    made = context(of=staged.played.scan, toml=toml)
    came = chain(*(gadget(made) for gadget in (whiten, oversampling, navigator)))(staged.stream())
    return [m for m in came if isinstance(m, Flag)]


def slices(found):
    return [flag.evidence["slice"] for flag in found if flag.code == "navigator_mismatch" and flag.severity.broken]


@pytest.mark.parametrize("faults", [(), ("gain_drop:6,coil=-1",), ("b0_drift:3",), ("noise_rise:1.5",)])
def test_who_lies_still_passes_whatever_gain_field_and_noise_do(faults):
    (flag,) = flags(*faults)
    assert (flag.code, flag.severity) == ("navigator_mismatch", Severity.PASS)
    assert flag.score < 1.5


def test_a_cough_is_told_with_the_slices_that_were_under_way_and_no_others():
    found = flags("cough@40%:6,turn=4deg,lasts=0.15")
    assert set(slices(found)) == {1}
    assert not [flag for flag in found if flag.code == "patient_away"]


@pytest.mark.parametrize("fault", ["motion@30%:2", "motion@30%:2,along=x", "motion@30%:0,turn=2"])
def test_who_moves_and_stays_is_told_for_every_slice_that_follows_and_that_he_is_away_once(fault):
    found = flags(fault)
    assert slices(found) == [1, 2, 3]
    (away,) = [flag for flag in found if flag.code == "patient_away"]
    assert (away.severity, away.score) == (Severity.FAIL, 4)
    assert found.index(away) < len(found) - 1  # while the scan goes on


def test_motion_after_the_last_navigator_that_was_good_hits_what_came_since():
    """A frame that begins and ends between two navigators is not left out."""
    assert slices(flags("motion@48%:5", navigator_every=40)) == [1, 2, 3]


def test_without_navigators_or_limits_nothing_is_passed():
    (none,) = flags("motion@30%:5", navigator_every=0)
    (unlimited,) = flags("motion@30%:5", toml=TOML)
    assert none.severity is unlimited.severity is Severity.UNKNOWN

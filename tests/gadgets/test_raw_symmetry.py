"""Laws of the symmetry gadget: who moves within a single frame is told behind its image, and nobody else is."""

import pytest

from gadgets.accumulate import accumulate
from gadgets.calibrate import calibrate
from gadgets.oversampling import oversampling
from gadgets.raw_symmetry import symmetry
from gadgets.reconstruct import reconstruct
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from protocols.events import Flag, Severity
from protocols.messages import Reconstruction
from protocols.stream import chain
from tests.making import TOML, context

LIMIT = '[limits.frame_motion]\nvalue = 20.0\ndirection = "max"\nunit = "%"\n'
SMALL = {"slices": 1, "matrix": (128, 128), "noise_readouts": 16}


def told(*faults, toml=TOML + LIMIT, protocol="brain_gre_r4", **more):
    """Flags of a scan of single frames, and how many images it made."""
    protocol, simulate = sequence_of(protocol)
    small = simulate.model_copy(update={**SMALL, **more})
    staged = stage(Scanner(ASYMMETRIC, head_array(8)), small, Order(protocol.name), [ask(fault) for fault in faults])
    flags = []
    made = context(of=staged.played.scan, toml=toml, tell=flags.append)
    gadgets = [whiten, oversampling, accumulate, calibrate, reconstruct, symmetry]
    images = [m for m in chain(*(gadget(made) for gadget in gadgets))(staged.stream()) if isinstance(m, Reconstruction)]
    return [flag for flag in flags if isinstance(flag, Flag)], len(images)


def test_each_frame_of_a_patient_who_lies_still_passes():
    flags, images = told(slices=2)
    assert images == 2
    assert [(flag.severity, flag.evidence["slice"]) for flag in flags] == [(Severity.PASS, 0), (Severity.PASS, 1)]


@pytest.mark.parametrize(("along", "key"), [("x", "read_mm"), ("y", "phase_mm")])
@pytest.mark.parametrize("place", [40, 80])
def test_motion_before_or_behind_the_calibration_lines_of_the_only_frame_is_told_with_how_far(along, key, place):
    ((flag,), _) = told(f"motion@{place}%:4,along={along}")
    assert flag.severity is Severity.WARN
    assert flag.advice == "repeat slice 0: the patient moved while it was taken"
    assert abs(flag.evidence[key]) == pytest.approx(4, abs=1.5)


def test_noise_gain_and_spikes_are_no_motion():
    for fault in ("noise_rise:3", "gain_drop@50%:6,coil=2", "spike@60%:50"):
        assert [flag.severity for flag in told(fault)[0]] == [Severity.PASS], fault


def test_frames_without_calibration_lines_of_their_own_are_unknown_once_a_scan_and_so_is_one_without_a_limit():
    flags, images = told(protocol="brain_live_r4", repetitions=3, matrix=(96, 96))
    assert images == 3
    assert [flag.severity for flag in flags] == [Severity.UNKNOWN]
    assert [flag.severity for flag in told(toml=TOML)[0]] == [Severity.UNKNOWN]


def test_motion_amid_the_calibration_lines_of_every_slice_is_unknown_once():
    flags, images = told("motion@25%:5,along=y", "motion@75%:-5,along=y", slices=2)
    assert images == 2
    assert [flag.severity for flag in flags] == [Severity.UNKNOWN]

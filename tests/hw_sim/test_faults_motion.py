from dataclasses import replace

import numpy as np
import pytest

from hw_sim.coils import head_array
from hw_sim.devices import AT_REST, Pose
from hw_sim.errors import SimulationError
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC, Phantom
from hw_sim.scanner import Scanner
from hw_sim.sequencer import Kind
from protocols.mrd import CALIBRATION, has_flag

COILS = head_array(4)
SHIFT_MM, TURN_DEG = 7.0, 12.0


@pytest.fixture
def make(simulate):
    """Stage a small scan with faults; without noise unless asked."""

    def staged(*faults, patient=ASYMMETRIC, **changes):
        return stage(Scanner(patient, COILS), simulate(**changes), Order("test"), [ask(text) for text in faults])

    return staged


def kspace(staged):
    """What the coils saw (readout, coil, sample), gain and noise apart."""
    played = staged.played
    return played.source.signal(played.plan, played.poses)


def streamed(staged):
    return np.concatenate([batch.samples for batch in staged.stream()])


def moved_phantom():
    """The phantom with each of its ellipsoids turned about z and shifted along y."""
    angle = np.deg2rad(TURN_DEG)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def moved(one):
        centre = tuple(turn @ np.array(one.centre_mm) + (0, SHIFT_MM, 0))
        return replace(one, centre_mm=centre, turn_deg=one.turn_deg + TURN_DEG)

    return Phantom(tuple(moved(one) for one in ASYMMETRIC.ellipsoids), ASYMMETRIC.radius_mm)


@pytest.mark.parametrize("orientation", ["axial", "sagittal"])
def test_after_a_motion_kspace_is_that_of_the_moved_object_and_before_that_of_the_one_at_rest(make, orientation):
    staged = make(f"motion@16:{SHIFT_MM},turn={TURN_DEG}", orientation=orientation)
    rest = kspace(make(orientation=orientation))
    elsewhere = kspace(make(patient=moved_phantom(), orientation=orientation))
    list(staged.stream())
    (truth,) = staged.truths
    after = np.array(truth.readouts) - 1
    before = np.setdiff1d(np.arange(len(rest)), after)
    seen = kspace(staged)
    assert truth.lines == {0: list(range(16, 32))}
    assert np.array_equal(seen[before], rest[before])
    assert np.linalg.norm(seen[after] - elsewhere[after]) < 1e-3 * np.linalg.norm(elsewhere[after])
    assert np.linalg.norm(seen[after] - rest[after]) > 0.05 * np.linalg.norm(rest[after])


def test_coils_stay_where_they_are_while_the_patient_moves(make):
    """A shift of the object alone is more than a phase ramp on what each coil saw before."""
    before, after = (kspace(make(*faults))[4:] for faults in ([], ["motion@0s:20mm,along=y"]))
    ramp = np.exp(-2j * np.pi * (np.arange(32) - 16) / 230 * 20)[:, None, None]
    assert np.linalg.norm(after - before * ramp) > 0.05 * np.linalg.norm(after)


def test_a_table_that_slips_takes_coils_along_so_that_another_slice_is_seen_alike(make):
    slipped = kspace(make("table_shift@0:10"))
    other_slice = kspace(make(centre_mm=(0.0, 0.0, -10.0)))
    assert np.allclose(slipped, other_slice)


def test_a_cough_ends_and_the_patient_is_back_where_he_was(make):
    played = make("cough@8:5,lasts=0.3", tr_ms=20.0).played
    away = [pose != AT_REST for pose in played.poses]
    assert away == [12 < n < 12 + 15 for n in range(36)]
    assert max(pose.shift_mm[1] for pose in played.poses) == 5


def test_breathing_comes_again_with_its_period_and_swings_the_field(make):
    changes = {"tr_ms": 100.0, "matrix": (32, 64), "te_ms": 3.0}
    staged = make("breathing@0s:2,period=2,hz=20", **changes)
    poses = staged.played.poses
    assert poses[:40] == poses[20:60]
    assert max(pose.shift_mm[1] for pose in poses) == 2
    deepest = 30  # a breath and a half after the beginning
    still = make("breathing@0s:2,period=2,hz=0", **changes)
    swing = np.vdot(streamed(still)[deepest], streamed(staged)[deepest])
    assert np.angle(swing) == pytest.approx(2 * np.pi * 20 * 3e-3, abs=0.1)


@pytest.mark.parametrize("calibration", ["separate", "embedded"])
def test_a_wrong_calibration_is_of_another_position_and_the_other_lines_are_not(make, calibration):
    scan = {"calibration": calibration, "calibration_lines": 8, "acceleration": 2}
    staged = make("wrong_calibration:10", **scan)
    lines = has_flag(staged.played.headers["flags"], *CALIBRATION)
    assert [pose == Pose((0, 10, 0)) for pose in staged.played.poses] == lines.tolist()
    rest = kspace(make(**scan))
    assert np.array_equal(kspace(staged)[~lines], rest[~lines])


def test_a_scan_without_calibration_lines_cannot_have_a_wrong_one(make):
    with pytest.raises(SimulationError, match="test has no calibration lines"):
        make("wrong_calibration")


def test_a_field_of_view_that_is_too_small_is_what_the_scanner_measures_and_says(make):
    narrow = make("wrap:50", snr=60.0)
    wanted = make(fov_mm=(230.0, 115.0), snr=60.0)
    assert np.array_equal(streamed(narrow), streamed(wanted))
    assert narrow.played.scan.encodings[0].recon_fov_mm == (230.0, 115.0, 5.0)
    assert len(narrow.truths[0].readouts) == len(narrow.played.plan)


def test_two_movements_add_up(make):
    poses = make("motion@8:5,along=x", "motion@16:0,turn=90").played.poses
    assert poses[4 + 8].shift_mm == (5, 0, 0)
    assert np.allclose(poses[-1].shift_mm, (0, 5, 0))  # the second one turns about the isocentre


def test_noise_of_a_scan_with_a_motion_is_that_of_the_scan_without(make):
    clean, moved = make(snr=60.0), make("motion@50%:5", snr=60.0)
    first = clean.played.plan["kind"] == Kind.NOISE
    assert np.array_equal(streamed(clean)[first], streamed(moved)[first])
    added = [streamed(one) - kspace(one) * one.played.frontend.gain for one in (clean, moved)]
    assert np.allclose(*added, atol=1e-6)

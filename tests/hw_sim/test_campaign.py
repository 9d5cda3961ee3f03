"""Laws of campaigns: what is drawn can be played, what is counted is what was told, and a real plugin is judged."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from gadgets.serve import ServeOptions, running
from hw_sim.campaign import SCOUT, Outcome, campaign, found_at, found_by, with_scouts
from hw_sim.campaign_picture import picture
from hw_sim.campaign_plan import CHECKS, EXAM, FINDS, FIRST, JUDGES, KINDS, PLAYED, Trial, draw, hunted
from hw_sim.campaign_size import beyond_mm, changed, torn
from hw_sim.campaign_table import Share, any_flag, by_size, checks, crossed, markdown, write
from hw_sim.errors import SimulationError
from hw_sim.faults import FAULTS, Truth, ask
from hw_sim.plugin import Address
from protocols.events import Flag, Severity

SMALL = {"matrix": (64, 64), "repetitions": 14, "calibration_lines": 16, "noise_readouts": 32}


def flag(code, **evidence):
    return Flag(code=code, severity=Severity.WARN, message="x", evidence=evidence)


def truth(name="dead_coil", coils=(), **keys):
    return Truth(name, "", 1.0, "", keys, coils)


def outcome(name="", *flags, kind="series", size=None, torn=False, unknown=(), **keys):
    made = truth(name, **keys) if name else None
    trial = Trial(0, kind, "phantom", {}, name)
    return Outcome(trial, made, flags, 1, 0, (), 1.0, size, torn, frozenset(unknown))


def test_every_fault_that_is_drawn_can_be_asked_for_and_half_of_the_scans_are_clean():
    trials = [draw(number, 3, hunted(), 0.5, ["mni", "phantom"]) for number in range(600)]
    assert {trial.name for trial in trials} - {"none"} == set(FAULTS) - {"vanish", "cut"}
    assert 250 < sum(not trial.fault for trial in trials) < 350
    for trial in trials:
        if trial.fault:
            assert ask(trial.fault).fault.name == trial.name
    assert len({trial.changes["snr"] for trial in trials}) == 1  # noise is the scanner's
    assert trials == [draw(number, 3, hunted(), 0.5, ["mni", "phantom"]) for number in range(600)]


def test_a_fault_that_ends_the_scan_or_does_not_exist_is_refused():
    with pytest.raises(SimulationError, match="ends the scan"):
        hunted(["cut"])
    with pytest.raises(SimulationError, match="Did you mean 'motion'"):
        hunted(["moton"])


def test_every_check_is_there_for_faults_that_exist():
    assert {fault for faults in CHECKS.values() for fault in faults} <= set(FAULTS)
    assert set(FINDS) == set(FAULTS)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_intervals_are_wilsons(hits, of, low, high):
    assert Share(hits, of).interval == pytest.approx((low, high), abs=1e-4)
    assert Share(0, 0).interval == (0.0, 1.0)


def test_a_flag_that_names_another_coil_line_or_frequency_is_not_right():
    assert found_at(flag("coil_gain", coil=3), truth(coils=(3,)))
    assert found_at(flag("coil_gain", coil=2), truth(coils=(3,))) is False
    assert found_at(flag("coil_gain"), truth(coils=(3,))) is None
    assert found_at(flag("swapped_coils", coils=[1, 4]), truth("swapped_coils", coils=(4, 1)))
    assert found_at(flag("swapped_coils", coils=[1, 5]), truth("swapped_coils", coils=(4, 1))) is False
    hit = truth("zipper", hz=5000.0, width_hz=300.0)
    assert found_at(flag("zipper", offset_hz=5100.0), hit)
    assert found_at(flag("zipper", offset_hz=-5000.0), hit) is False
    lost = replace(truth("lose_line"), lines={2: [7, 8]})
    assert found_at(flag("missing_lines", lines=[7, 8]), lost)
    assert found_at(flag("missing_lines", lines=[7, 9]), lost) is False


def test_counts_are_those_of_the_outcomes_and_weak_spikes_count_for_nothing(tmp_path):
    outcomes = [
        outcome(),
        outcome("", flag("spikes"), flag("deadline_missed")),
        outcome("spike", flag("spikes", coil=1), coils=(1,), size=12.0),
        outcome("spike", coils=(1,), size=30.0),
        outcome("spike", coils=(1,), size=4.0),
    ]
    (row,) = [row for row in checks(outcomes) if row.code == "spikes"]
    assert row.counts == (1, 1, 1, 1)
    assert (row.right.hits, row.right.of) == (1, 1)
    assert any_flag(outcomes) == Share(1, 2)
    assert any_flag([outcome("", flag("deadline_missed"))]) == Share(0, 1)
    assert any_flag([outcome(), outcome("", flag("prescription"), kind=SCOUT)]) == Share(0, 1)
    assert crossed(outcomes)["spike"]["spikes"] == Share(1, 3)
    assert "| spikes | 1 of 2: 50.0 %" in markdown(outcomes, ["facts"])
    write(outcomes, tmp_path, ["facts"])
    with (tmp_path / "scans.csv").open() as file:
        assert [line["should_be_found"] for line in csv.DictReader(file)] == ["0", "0", "1", "1", "0"]
    assert picture(crossed(outcomes), "x").startswith(b"\x89PNG")


def test_a_plugin_is_judged_scan_by_scan_over_its_bus():
    faults = ("", "dead_coil,coil=5", "lose_line@40%:2", "wrong_calibration:6", "zipper:5,hz=9000")
    trials = [Trial(number, "series", "phantom", SMALL, fault) for number, fault in enumerate(faults)]
    with running(ServeOptions(port=0)) as server:
        clean, *spoilt = campaign(trials, Address("127.0.0.1", server.port, server.bus_address))
    assert clean.codes == frozenset()
    assert clean.images == SMALL["repetitions"]
    for made in spoilt:
        for code in set(filter(made.wanted, FINDS[made.trial.name])) - {"noise_drift"}:  # needs three scans before
            told = found_by(made, code)
            assert told is not None, (made.trial.fault, code)
            assert found_at(told, made.truth) is not False
    assert all(made.should for made in spoilt)


def test_a_spike_knows_how_far_it_stands_above_its_neighbours(prepared):
    played = prepared(snr=60.0, noise_readouts=8)
    asked = ask("spike@90%:50,coil=3,sample=10")
    told = truth("spike")
    node = asked.fault.node(asked, played, told)
    samples = {
        int(m.headers["scan_counter"][n]): m.samples[n] for m in node(played.readouts()) for n in range(len(m.headers))
    }
    hit = np.abs(samples[told.readouts[0]][3]) / played.frontend.sigma[3]
    assert told.keys["above"] == pytest.approx(hit[10] - max(hit[8], hit[9], hit[11], hit[12]), abs=0.01)


def test_every_exam_is_of_one_patient_and_begins_with_a_scout_of_him():
    trials = [draw(number, 3, hunted(), 0.5, ["mni", "phantom"]) for number in range(4 * EXAM)]
    played = [*with_scouts(trials)]
    assert [n for n, trial in enumerate(played) if trial.kind == SCOUT] == [n * (EXAM + 1) for n in range(4)]
    for first in range(0, len(played), EXAM + 1):
        assert len({trial.body for trial in played[first : first + EXAM + 1]}) == 1
    assert {trial.body for trial in trials} == {"mni", "phantom"}
    alone = [replace(trial, exam=None) for trial in trials]
    assert [*with_scouts(alone)] == alone


def test_faults_are_played_where_a_check_judges_them():
    for code, faults in CHECKS.items():
        for fault in faults:
            assert set(JUDGES.get(code, KINDS)) & set(PLAYED.get(fault, KINDS)), (code, fault)


def test_a_check_counts_in_the_scans_that_it_judges_and_not_for_what_is_too_small_to_matter():
    moved = [
        outcome("motion", flag("frame_motion", slice=2), kind="stack", size=40.0),
        outcome("motion", kind="stack", size=40.0, torn=True, unknown=["frame_motion"]),
        outcome("motion", kind="stack", size=1.0),
        outcome("motion", kind="stack", size=9.0, along="z"),
        outcome("motion", flag("calibration_mismatch"), size=40.0),
    ]
    rows = {row.code: row for row in checks([*moved, outcome(), outcome(kind="stack"), outcome(kind="scout")])}
    assert rows["frame_motion"].counts == (1, 2, 0, 1)
    assert rows["calibration_mismatch"].counts == (1, 0, 0, 1)
    assert [o.should for o in moved] == [True, True, False, True, True]
    assert crossed(moved)["motion"] == {"calibration_mismatch": Share(1, 1), "frame_motion": Share(1, 4)}
    assert "| motion | 5 | calibration_mismatch, frame_motion | calibration_mismatch 1.00," in markdown(moved, [])
    told = [(part.size, part.found, part.unknown) for part in by_size(moved) if part.code == "frame_motion"]
    assert told == [
        ("below 6 % of the signal of the lines hit", Share(0, 1), 0),
        ("from 15 % of the signal of the lines hit", Share(1, 1), 0),
        ("amid the calibration lines", Share(0, 1), 1),
        ("across the slices", Share(0, 1), 0),
    ]


def moved(prepared, text, **changes):
    asked = ask(text)
    return asked.fault.world(asked, prepared(**changes))


def test_motion_counts_by_what_it_changes_of_the_lines_it_hits_and_where_calibration_lines_are_torn_it_is_told(
    prepared,
):
    frame = {"acceleration": 4, "calibration": "embedded", "calibration_lines": 16, "noise_readouts": 0}
    assert changed(prepared(**frame)) == 0
    near, far = (changed(moved(prepared, f"motion@90%:{mm},along=x", **frame)) for mm in (0.2, 4))
    assert 0 < near < 30 < far
    assert not torn(moved(prepared, "motion@90%:4", **frame))
    assert torn(moved(prepared, "motion@50%:4", **frame))


def test_wraps_count_by_how_far_the_body_reaches_beyond_the_field_of_view(prepared):
    wide, narrow = (beyond_mm(prepared(fov_mm=(240.0, mm), centre_mm=(0.0, 0.0, 0.0))) for mm in (240.0, 160.0))
    assert narrow - wide == pytest.approx(40)
    assert narrow == pytest.approx(22, abs=8)  # the phantom is 204 mm long, its rim faint where fat is saturated


def test_kinds_are_scan_protocols_that_can_be_played():
    assert {kind.protocol for kind in KINDS.values()} == {"brain_live_r4", "brain_gre_r4", "scout"}
    assert FIRST.protocol == SCOUT

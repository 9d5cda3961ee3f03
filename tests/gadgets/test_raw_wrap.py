"""Laws of the wrap gadget: a head longer than the field of view is told from the scout, before there is an image."""

import time
from dataclasses import replace

import numpy as np
import pytest

from engines.positioning.scout import Scout
from gadgets.image_verdict import Critic
from gadgets.raw_wrap import wrap
from gadgets.remember import remember
from gadgets.subjects import note_subject
from protocols.events import Flag, Severity
from protocols.geometry import Grid, place
from protocols.messages import Image
from protocols.mrd import IMAGE, AcqFlag
from tests.engines.quality.test_overhang import AFFINE, ball
from tests.making import TOML, busy, context, readouts, scan

LIMITS = "".join(
    f'[limits.{code}]\nvalue = {value}\ndirection = "max"\nunit = "{unit}"\n'
    for code, value, unit in (("wrap", 5.0, "mm"), ("edge_signal", 20.0, "%"))
)


def surroundings(fov_mm=240.0, position="HFS", toml=TOML + LIMITS, memory=None):
    """A scan of a field of view along phase, with what earlier scans left behind."""
    of = scan(lines=16, slice=(0, 2))
    encoding = replace(of.encodings[0], encoded_fov_mm=(240.0, fov_mm, 4.0), recon_fov_mm=(240.0, fov_mm, 4.0))
    made = context(of=replace(of, encodings=(encoding,), patient_position=position), toml=toml)
    return made if memory is None else replace(made, memory=memory)


def scouted(made, old_s=0.0, **changes):
    """Remember a scout of a head 200 mm long."""
    scout = Scout(ball(), AFFINE, None, "HFS", (0.0, 0.0, 0.0), "scout_1", time.time() - old_s)
    made.memory.scouts.put(("HFS",), replace(scout, **changes))
    return made


def told(made, table_mm=0.0, **changes):
    """Flags of a noise scan and three slices of two readouts, the last one above the head."""
    batches = [readouts([0], [(0, AcqFlag.IS_NOISE_MEASUREMENT)])]
    for number, height in enumerate((0.0, 60.0, 120.0)):
        batches.append(readouts(range(2), slice=number))
        batches[-1].headers["position"] = (0, 0, height)
        batches[-1].headers["patient_table_position"][:, 2] = table_mm
        for name, value in changes.items():
            batches[-1].headers[name] = value
    return [m for m in wrap(made)(iter(batches)) if isinstance(m, Flag)]


def test_a_field_of_view_that_holds_the_head_passes():
    (flag,) = told(scouted(surroundings()))
    assert flag.severity is Severity.PASS
    assert -25 < flag.score < -15


@pytest.mark.parametrize(
    ("directions", "why"),
    [(dict.fromkeys(("read_dir", "phase_dir", "slice_dir"), (0, 0, 0)), "directions are zero"),
     ({"phase_dir": (0, 0.9, 0)}, "perpendicular unit vectors were wanted")],
)  # fmt: skip
def test_a_slice_that_does_not_say_how_it_lies_cannot_be_told(directions, why):
    (flag,) = told(scouted(surroundings()), **directions)
    assert flag.severity is Severity.UNKNOWN
    assert why in flag.message


def test_one_that_is_too_small_is_told_with_how_far_and_in_which_slices():
    *each, last = told(scouted(surroundings(160.0)))
    assert {flag.severity for flag in (*each, last)} == {Severity.WARN}
    assert [flag.evidence["slice"] for flag in each] == [0]
    assert abs(last.score - 20) < 5
    assert last.advice


def test_without_a_scout_that_is_of_use_nothing_can_be_foretold():
    useless = [
        told(surroundings(160.0)),
        told(scouted(surroundings(160.0, position="FFS"))),
        told(scouted(surroundings(160.0), old_s=4000)),
        told(scouted(surroundings(160.0)), table_mm=30.0),
        told(scouted(surroundings(300.0), pixels=ball(middle=(0.0, 60.0, 0.0)))),
        told(scouted(surroundings(160.0), pixels=ball((80.0, 100.0, 20.0), (0.0, 0.0, -80.0)))),
    ]
    assert [[flag.severity for flag in flags] for flags in useless] == [[Severity.UNKNOWN]] * len(useless)
    assert len({flags[0].message for flags in useless}) == 5


def test_the_scout_of_another_subject_foretells_nothing():
    for subject, severity in (("Alice", Severity.PASS), ("Bob", Severity.UNKNOWN)):
        made = replace(
            surroundings(), xml="<h><subjectInformation><patientID>Alice</patientID></subjectInformation></h>"
        )
        note_subject(replace(made, scan=replace(made.scan, measurement_id="scout_1")))
        (flag,) = told(scouted(replace(made, xml=made.xml.replace("Alice", subject))))
        assert flag.severity is severity
    assert "the last scout is of another subject" in flag.message


def test_without_a_limit_it_is_unknown():
    (flag,) = told(scouted(surroundings(160.0, toml=TOML)))
    assert flag.severity is Severity.UNKNOWN


def test_the_last_scout_that_was_remembered_is_the_one_and_the_image_says_what_it_foretold():
    made = surroundings(160.0)
    grid = Grid((64, 64, 64), (256.0, 256.0, 256.0), (0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    list(remember(made)(iter([Image(place(np.zeros(1, IMAGE)[0], grid), ball()[None])])))
    told(surroundings(160.0, memory=made.memory))
    later = surroundings(160.0, memory=made.memory)
    told(later)
    flat = Grid((64, 64, 1), (240.0, 160.0, 4.0), (0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    image = Image(place(np.zeros(1, IMAGE)[0], flat), ball()[None, 32:33, 6:58].astype(np.float32))
    (flag,) = [m for m in Critic(later).judge(image) if isinstance(m, Flag) and m.code == "edge_signal"]
    assert abs(flag.evidence["foretold_mm"] - 20) < 5


def test_workers_that_do_not_come_to_it_leave_it_unknown(monkeypatch):
    monkeypatch.setattr("gadgets.raw_wrap.PATIENCE_S", 0.01)
    with busy() as workers:
        (flag,) = told(replace(scouted(surroundings(160.0)), workers=workers))
    assert flag.severity is Severity.UNKNOWN
    assert "the scout was not looked at within 0.01 s" in flag.message

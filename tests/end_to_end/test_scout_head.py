"""A three-plane scout of a head through its own chain, and the scan that is prescribed from its fifteen slices."""

from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from gadgets.lend import Lender
from gadgets.recipe import build
from hw_sim.coils import head_array
from hw_sim.desk import applied
from hw_sim.devices import Motion, Pose
from hw_sim.faults import stage
from hw_sim.head import mni_head
from hw_sim.paperwork import Order
from hw_sim.scanner import Scanner
from hw_sim.truth import true_stack
from protocols.events import Flag, Prescription
from protocols.messages import Feedback, Image
from protocols.prescription import NAME, Answer, encode
from protocols.scan_protocol import find
from protocols.stack import apart
from tests.making import context

SCOUT = find("scout_head")
PATIENT = Path(SCOUT.where).read_text(encoding="utf-8").replace("locate = 1000.0", "locate = 60000.0")
POSE = Pose((6.0, -9.0, 7.0), (10.0, -6.0, 8.0))


SCAN = find("brain_gre_r4")


@pytest.fixture(scope="module")
def scouted():
    """What the scout's chain says, and its surroundings."""
    scanner = Scanner(mni_head(), head_array(4), Motion(POSE, POSE))
    staged = stage(scanner, SCOUT.simulate.model_copy(update={"matrix": (64, 64)}), Order("scout_head"), [])
    with closing(Lender()) as lender:
        surroundings = context(staged.played.scan, PATIENT, lender=lender)
        return list(build(surroundings)(staged.stream())), surroundings


@pytest.fixture(scope="module")
def told(scouted):
    return scouted[0]


@pytest.mark.parametrize("plan", ["brain_axial", "midline_sagittal"])
def test_slices_are_prescribed_on_the_head_from_three_planes_through_it(told, plan):
    (made,) = [one for one in told if isinstance(one, Prescription) and one.plan == plan]
    assert made.status != "REFUSED", made.reasons
    off = apart(made.stack, true_stack("mni", plan, POSE))
    assert off.centre_mm < 8, off
    assert off.turn_deg < 8, off


def test_every_slice_leaves_before_anything_is_prescribed(told):
    kinds = [type(one) for one in told if isinstance(one, Image | Prescription)]
    assert kinds == [Image] * 15 + [Prescription] * 4


@pytest.mark.parametrize(("by", "severity"), [(Pose(), "PASS"), (Pose(shift_mm=(3.0, 0.0, 4.0)), "WARN")])
def test_who_moves_after_three_planes_is_told_of_by_the_scan_that_was_prescribed_on_them(
    scouted, by, severity, monkeypatch
):
    monkeypatch.setattr("gadgets.displaced.PATIENCE_S", 100.0)
    said, surroundings = scouted
    (asked,) = [one for one in said if isinstance(one, Prescription) and one.plan == "brain_axial"]
    set_so = Answer(id=asked.id, decision="accepted", patient_position="HFS", stack=asked.stack)
    words = [Feedback(NAME, encode(one)) for one in (asked, set_so)]
    pose = POSE.then(by)
    simulate = applied(SCAN.simulate.model_copy(update={"matrix": (96, 96)}), asked.stack)
    staged = stage(
        Scanner(mni_head(), head_array(4), Motion(pose, pose)), simulate, Order("brain_gre_r4", measurement=2), []
    )
    text = Path(SCAN.where).read_text(encoding="utf-8")
    with closing(Lender()) as lender:
        made = replace(context(staged.played.scan, text, lender=lender), memory=surroundings.memory)
        heard = list(build(made)(chain(words, staged.stream())))
    (flag,) = [one for one in heard if isinstance(one, Flag) and one.code == "displaced"]
    assert flag.severity.value == severity, flag.message
    assert len([one for one in heard if isinstance(one, Image)]) == asked.stack.slices

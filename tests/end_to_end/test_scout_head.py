"""A three-plane scout of a head through its own chain: what is prescribed from fifteen slices lies on the head."""

from contextlib import closing
from pathlib import Path

import pytest

from gadgets.lend import Lender
from gadgets.recipe import build
from hw_sim.coils import head_array
from hw_sim.devices import Motion, Pose
from hw_sim.faults import stage
from hw_sim.head import mni_head
from hw_sim.paperwork import Order
from hw_sim.scanner import Scanner
from hw_sim.truth import true_stack
from protocols.events import Prescription
from protocols.messages import Image
from protocols.scan_protocol import find
from protocols.stack import apart
from tests.making import context

SCOUT = find("scout_head")
PATIENT = Path(SCOUT.where).read_text(encoding="utf-8").replace("locate = 1000.0", "locate = 60000.0")
POSE = Pose((6.0, -9.0, 7.0), (10.0, -6.0, 8.0))


@pytest.fixture(scope="module")
def told():
    scanner = Scanner(mni_head(), head_array(4), Motion(POSE, POSE))
    staged = stage(scanner, SCOUT.simulate.model_copy(update={"matrix": (64, 64)}), Order("scout_head"), [])
    with closing(Lender()) as lender:
        return list(build(context(staged.played.scan, PATIENT, lender=lender))(staged.stream()))


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

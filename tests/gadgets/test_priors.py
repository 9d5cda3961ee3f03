"""Laws of prior exams: the planes of a subject come back on the same anatomy, and nobody else's do."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from engines.positioning.follow_up import Exam, Plane, between, carried
from engines.positioning.gather import affine_of
from gadgets.lend import Lender
from gadgets.locate import locate
from gadgets.prior_store import keep, pseudonym, recall
from gadgets.priors import as_before, noted
from hw_sim.devices import Pose
from hw_sim.truth import true_stack
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import Grid, place
from protocols.messages import Failure, Feedback, Image
from protocols.mrd import IMAGE
from protocols.prescription import NAME, Answer, encode
from protocols.stack import apart
from tests.engines.positioning.test_rigid import SHAPE, STEP_MM, scout
from tests.gadgets.test_locate import TOML as LOCATED
from tests.making import context, scan

FIRST, LATER = Pose((6.0, -3.0, 4.0), (5.0, -4.0, 3.0)), Pose((-8.0, 5.0, -3.0), (-4.0, 6.0, -9.0))
PLANS = ("brain_axial", "midline_sagittal")
TOML = (
    LOCATED.format(model="head_landmarks")
    + """
[deadlines]
locate = 60000.0
"""
)


@pytest.fixture(scope="module")
def lender():
    with_network = Lender()
    yield with_network
    with_network.close()


@pytest.fixture(scope="module")
def images():
    """The same head twice."""
    planes, height, width = SHAPE
    grid = Grid(
        (width, height, planes), tuple(STEP_MM * size for size in (width, height, planes)), (STEP_MM / 2,) * 3,
        (1, 0, 0), (0, 1, 0), (0, 0, 1),
    )  # fmt: skip
    assert np.allclose(affine_of(grid), scout(contrast={}).affine)
    header = place(np.zeros(1, IMAGE)[0], grid)
    seen = {pose: np.abs(scout(pose, shaded=True, noise=0.03).pixels)[None] for pose in (FIRST, LATER)}
    return {pose: Image(header, pixels, arrived_ns=time.monotonic_ns()) for pose, pixels in seen.items()}


class Site:
    """A server with its folder, and a console that measures what it is told."""

    def __init__(self, lender, folder, images):
        self.lender, self.folder, self.images = lender, folder, images
        self.told = []
        self.memory = context().memory

    def around(self, subject, measurement, workers=None):
        header = f"<h><subjectInformation><patientID>{subject}</patientID></subjectInformation></h>"
        of = replace(scan(), measurement_id=measurement, patient_position="HFS")
        made = context(of, TOML, lender=self.lender, xml=header, priors=self.folder, tell=self.told.append)
        return replace(made, memory=self.memory, workers=workers or made.workers)

    def scout(self, subject, pose, measurement):
        """What is prescribed, by plan, and all flags."""
        got = list(locate(self.around(subject, measurement))(iter([self.images[pose]])))
        made = {one.plan: one for one in got if isinstance(one, Prescription)}
        return made, [one for one in got if isinstance(one, Flag)]

    def measure(self, subject, asked, *more, shift_mm=0.0, **changes):
        """Let a console set a plane, shifted, and measure it."""
        x, y, z = asked.stack.centre_mm
        stack = asked.stack.model_copy(update={"centre_mm": (x, y, z + shift_mm)})
        given = {"id": asked.id, "decision": "accepted", "stack": stack, "patient_position": "HFS"}
        words = [Feedback(NAME, encode(said)) for said in (asked, Answer(**{**given, **changes}))]
        with ThreadPoolExecutor(1) as workers:
            sent = [*words, *more]
            assert list(noted(self.around(subject, "scan", workers))(iter(sent))) == sent
        return stack

    def kept(self):
        return len(list(self.folder.glob("*.npz"))) if self.folder.exists() else 0


@pytest.fixture
def site(lender, tmp_path, images):
    return Site(lender, tmp_path / "priors", images)


def there(stack, then=FIRST, now=LATER):
    """A stack that has truly gone where the head has gone."""
    still = (true_stack("mni", "brain_axial", pose) for pose in (then, now))
    return carried(stack, between(*still))


def unknown(flags):
    return [flag.message for flag in flags if flag.code == "prior_exam" and flag.severity is Severity.UNKNOWN]


def test_planes_that_were_set_come_back_on_the_same_anatomy_and_to_nobody_else(site):
    first, _ = site.scout("Jane", FIRST, "m1")
    set_then = site.measure("Jane", first["brain_axial"], shift_mm=12.0, decision="overridden")
    assert site.kept() == 1
    made, flags = site.scout("Jane", LATER, "m2")
    axial = made["brain_axial"]
    off = apart(axial.stack, there(set_then))
    assert not off.beyond(1.0, 1.0), off
    assert (axial.status, axial.reasons) == ("OK", (f"as_before: as on {date.today().isoformat()}",))
    assert made["midline_sagittal"].reasons == ()
    assert made["orbits"].status == "REFUSED"
    assert any("as on" in flag.message and flag.severity is Severity.PASS for flag in flags)
    other, _ = site.scout("John", LATER, "m3")
    assert other["brain_axial"].reasons == ()
    assert apart(other["brain_axial"].stack, axial.stack).centre_mm > 9

    (file,) = site.folder.glob("*.npz")
    before = file.read_bytes()
    site.measure("Jane", axial)
    assert file.read_bytes() == before  # as it was: the first scout stays the one to compare with
    sagittal = site.measure("Jane", made["midline_sagittal"])
    planes = recall(site.folder, file.stem).planes
    assert not apart(planes["brain_axial"].stack, axial.stack).beyond(0.01, 0.01)
    assert not apart(planes["midline_sagittal"].stack, sagittal).beyond(0.01, 0.01)


def test_what_was_not_set_or_on_another_subject_or_table_is_not_kept(site):
    made, _ = site.scout("Jane", FIRST, "m1")
    asked = made["brain_axial"]
    site.measure("John", asked)
    site.measure("Jane", asked, Failure("the peer is gone"))
    site.measure("Jane", asked, stack=None, decision="refused")
    site.measure("Jane", asked, patient_position="FFS")
    site.measure("Jane", asked, table_position_mm=(0.0, 0.0, 30.0))
    site.measure("Jane", asked, Feedback(NAME, b"garbage"), id="00000000000000ac")
    site.measure("Jane", asked.model_copy(update={"scout_measurement_id": "elsewhere"}))
    assert site.kept() == 0
    site.measure("Jane", asked)
    assert site.kept() == 1


def test_without_a_folder_or_a_subject_nothing_is_kept_and_the_planes_are_those_of_landmarks(site):
    made, flags = site.scout("", FIRST, "m1")
    (text,) = unknown(flags)
    assert "no patientID" in text
    site.measure("", made["brain_axial"])
    assert site.kept() == 0
    folder, site.folder = site.folder, None
    made, flags = site.scout("Jane", FIRST, "m1")
    assert (made["brain_axial"].status, unknown(flags)) == ("OK", [])
    site.measure("Jane", made["brain_axial"])
    assert not folder.exists()


def test_a_store_that_cannot_be_read_or_written_is_one_flag_unknown_and_the_planes_are_those_of_landmarks(site):
    (site.folder / f"{pseudonym(site.folder, 'Jane', 'head')}.npz").mkdir()
    made, flags = site.scout("Jane", FIRST, "m1")
    (text,) = unknown(flags)
    assert "slices lie where landmarks say" in text
    assert (made["brain_axial"].status, made["brain_axial"].reasons) == ("OK", ())
    site.measure("Jane", made["brain_axial"])
    (text,) = unknown(site.told)
    assert "what was set is not kept" in text


@pytest.mark.parametrize(("shown", "match"), [("shifted", "prior_disagrees: "), ("noise", "prior_unlike: ")])
def test_a_registration_that_is_poor_or_disagrees_with_landmarks_is_to_be_reviewed(site, images, shown, match):
    then, _ = site.scout("Jane", FIRST, "m1")
    stack = then["brain_axial"].stack
    old = scout(FIRST, noise=0.03) if shown == "shifted" else scout(contrast={}, noise=1.0)
    old.affine[:3, 3] += (8.0, 0.0, 0.0)
    planes = {"brain_axial": Plane(stack=stack, asked=stack, time_s=1e9)}
    keep(site.folder, pseudonym(site.folder, "Jane", "head"), Exam(old, {"brain_axial": stack}, planes))
    made, _ = site.scout("Jane", FIRST, "m2")
    axial = made["brain_axial"]
    assert axial.status == "REVIEW"
    assert axial.reasons[0].startswith(match)
    assert "2001-09-0" in axial.reasons[0]
    assert not apart(axial.stack, stack).beyond(0.01, 0.01)
    assert made["midline_sagittal"].status == "OK"


def test_the_brain_of_another_subject_under_the_same_id_is_to_be_reviewed(site):
    then, _ = site.scout("Jane", FIRST, "m1")
    stack = then["brain_axial"].stack
    other = scout(FIRST, shaded=True, noise=0.03)
    middle = other.affine[:3, :3] @ ((np.array(SHAPE[::-1]) - 1) / 2) + other.affine[:3, 3]
    stretch = np.diag((1.025, 0.975, 0.975))  # as two heads of one size differ
    other.affine[:3, :3] = stretch @ other.affine[:3, :3]
    other.affine[:3, 3] = middle + stretch @ (other.affine[:3, 3] - middle)
    planes = {"brain_axial": Plane(stack=stack, asked=stack, time_s=1e9)}
    keep(site.folder, pseudonym(site.folder, "Jane", "head"), Exam(other, {"brain_axial": stack}, planes))
    made, _ = site.scout("Jane", FIRST, "m2")
    assert made["brain_axial"].status == "REVIEW"
    assert re.match(
        r"prior_other: this is not the brain of 2001-09-0\d \(.* stretched by [23]\.", made["brain_axial"].reasons[0]
    )
    assert not apart(made["brain_axial"].stack, stack).beyond(0.01, 0.01)


def test_single_slices_are_not_laid_upon_an_earlier_scout_and_that_is_said(site):
    holes = scout(contrast={})
    holes.pixels[:4] = np.nan
    asked = Prescription(
        id="00000000000000ab", status="OK", patient_position="HFS", anatomy="head", plan="brain_axial",
        stack=true_stack("mni", "brain_axial", FIRST),
    )  # fmt: skip
    (flag,) = as_before(site.around("Jane", "m1"), holes, [asked])
    assert "single slices" in flag.message

"""Laws of the placed gadget: images lie where the console said it had set them, or a flag says how far off."""

import time
from dataclasses import replace

import numpy as np
import pytest

from gadgets.placed import placed
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import Grid, place, rotation_of
from protocols.messages import Feedback, Image, Text
from protocols.mrd import IMAGE
from protocols.prescription import NAME, Answer, encode
from protocols.stack import Stack, centres_mm
from tests.making import context, scan

READ, PHASE, SLICE = rotation_of((0.1, -0.2, 0.05, 1)).T.tolist()
STACK = Stack(
    centre_mm=(5.0, -3.0, 20.0), read_dir=READ, phase_dir=PHASE, slice_dir=SLICE, field_of_view_mm=(240.0, 200.0),
    thickness_mm=4.0, gap_mm=1.0, slices=5,
)  # fmt: skip
ID = "00000000000000ab"
SCAN = replace(scan(), patient_position="HFS")


def asked(**changes):
    given = {
        "id": ID, "status": "OK", "patient_position": "HFS", "stack": STACK, "plan": "brain_axial",
        "scout_measurement_id": "scout_1", "expires_s": time.time() + 1000,
    }  # fmt: skip
    return Prescription(**{**given, **changes})


def answer(**changes):
    return Answer(**{"id": ID, "decision": "accepted", "patient_position": "HFS", "stack": STACK, **changes})


def word(message):
    return Feedback(NAME, encode(message))


def images(stack=STACK, table_mm=0.0):
    for number, centre in enumerate(centres_mm(stack)):
        fov = (*stack.field_of_view_mm, stack.thickness_mm)
        grid = Grid((8, 8, 1), fov, tuple(centre), stack.read_dir, stack.phase_dir, stack.slice_dir)
        header = place(np.zeros(1, IMAGE)[0], grid)
        header["slice"] = number
        header["patient_table_position"] = (0, 0, table_mm)
        yield Image(header, np.ones((1, 1, 8, 8), np.uint16), {"Keep": "me"})


def run(*messages, of=SCAN):
    return list(placed(context(of=of))(iter(messages)))


def flags(*messages, of=SCAN):
    told = [message for message in run(*messages, of=of) if isinstance(message, Flag)]
    return [flag for flag in told if flag.code == "prescription"]


def test_images_that_lie_where_they_were_set_pass_and_say_by_which_prescription():
    got = run(word(asked()), word(answer()), Text("hello"), *images())
    assert [type(message) for message in got] == [Text, *[Image] * 5, Flag, Flag]  # the console's words go no further
    assert (got[-1].code, got[-1].severity) == ("prescription", Severity.PASS)
    assert "5 images lie where the console said" in got[-1].message
    assert got[1].meta == {
        "Keep": "me", "Scanside.Prescription": ID, "Scanside.PrescriptionDecision": "accepted",
        "Scanside.PrescriptionStatus": "OK", "Scanside.PrescriptionPlan": "brain_axial",
        "Scanside.PrescriptionScout": "scout_1",
    }  # fmt: skip


def test_a_scan_without_prescription_passes_by_as_it_is():
    sent = [*images(), Feedback("SomethingElse", b"1")]
    assert all(got is one for got, one in zip(run(*sent), sent, strict=True))


@pytest.mark.parametrize(
    ("moved", "match"),
    [
        (STACK.model_copy(update={"centre_mm": (5.0, -3.0, 22.0)}), "slice 0 lies 2.0 mm, 0.0 deg"),
        (STACK.model_copy(update={"centre_mm": (8.0, -3.0, 20.0)}), "slice 0 lies "),
        (STACK.model_copy(update={"field_of_view_mm": (240.0, 240.0)}), "40.0 mm of extent"),
        (STACK.model_copy(update={"read_dir": [-v for v in READ], "phase_dir": [-v for v in PHASE]}), "180.0 deg"),
    ],
)  # fmt: skip
def test_images_that_lie_elsewhere_are_flagged_once_with_how_far(moved, match):
    (told,) = flags(word(asked()), word(answer()), *images(moved))
    assert told.severity is Severity.WARN
    assert match in told.message
    assert told.evidence == {"slice": 0}


@pytest.mark.parametrize(
    ("words", "table_mm", "match"),
    [
        ([asked(), answer(decision="refused", stack=None, reasons=("wide",))], 0, "the console refused it: wide"),
        ([asked(), answer(decision="overridden")], 0, "the console set other values (overridden)"),
        ([asked(patient_position="FFS"), answer(patient_position="FFS")], 0, "HFS in this scan, the scout was FFS"),
        ([asked(expires_s=time.time() - 60), answer()], 0, "is stale since "),
        ([asked(), answer()], 30, "is stale: the table has moved by 30.0 mm since the scout"),
        ([asked(), answer(id="00000000000000ac")], 0, "the answer is to prescription 00000000000000ac"),
        ([answer()], 0, "answers prescription 00000000000000ab, which it does not name"),
    ],
)  # fmt: skip
def test_what_the_console_did_otherwise_is_flagged_before_the_first_image(words, table_mm, match):
    got = run(*map(word, words), *images(table_mm=table_mm))
    assert isinstance(got[0], Flag)
    assert got[0].severity is Severity.WARN
    assert match in got[0].message
    assert got[0].advice
    assert sum(isinstance(message, Flag) and message.severity is Severity.WARN for message in got) == 1


def test_the_same_answer_twice_is_one_and_another_is_flagged_and_counts():
    other = STACK.model_copy(update={"slices": 3})
    assert [flag.severity.value for flag in flags(word(asked()), word(answer()), word(answer()), *images())] == ["PASS"]
    first, second, last = flags(word(asked()), word(answer()), word(answer(stack=other)), *images(other))
    assert "the console answered twice, accepted, then accepted; the last answer counts" in first.message
    assert "2 slices off" in second.message
    assert last.severity is Severity.PASS


def test_words_that_cannot_be_read_are_unknown_and_cost_no_image():
    got = run(Feedback(NAME, b"\1\0garbage"), *images())
    assert [type(message) for message in got] == [Flag, *[Image] * 5]
    assert got[0].severity is Severity.UNKNOWN
    assert "cannot be read: ScansidePrescription: 9 bytes, wanted at least 208" in got[0].message


def test_a_console_that_never_says_what_it_set_is_unknown():
    (told,) = flags(word(asked()), *images())
    assert told.severity is Severity.UNKNOWN
    assert "not what it set" in told.message

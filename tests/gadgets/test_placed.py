"""Laws of the placed gadget: images lie where the console said it had set them, or a flag says how far off."""

import time
from dataclasses import replace

import numpy as np
import pytest

from gadgets.placed import placed
from gadgets.prescriptions import prescriptions
from gadgets.recipe import build
from gadgets.remember import remember
from gadgets.serve import ServeOptions, running
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import Grid, place, rotation_of
from protocols.header import write_header
from protocols.messages import Close, Config, Feedback, Header, Image, Text
from protocols.mrd import IMAGE
from protocols.prescription import NAME, Answer, encode
from protocols.scan_protocol import find, names
from protocols.stack import Stack, centres_mm
from tests.engines.positioning.heads import posed
from tests.making import TOML, context, scan
from tests.peer import raw, small_scan, talk

READ, PHASE, SLICE = rotation_of((0.1, -0.2, 0.05, 1)).T.tolist()
STACK = Stack(
    centre_mm=(5.0, -3.0, 20.0), read_dir=READ, phase_dir=PHASE, slice_dir=SLICE, field_of_view_mm=(240.0, 200.0),
    thickness_mm=4.0, gap_mm=1.0, slices=5,
)  # fmt: skip
ID = "00000000000000ab"
SCAN = replace(scan(), patient_position="HFS")
WITH_PLACED = TOML.replace("'finish', ", "'finish', 'placed', ")
PLACELESS = [
    ({"read_dir": (2, 0, 0)}, "read, phase and slice direction (2.0, 0.0, 0.0), "),
    ({"read_dir": (0, 1, 0), "phase_dir": (0, 1, 0)}, "perpendicular unit vectors were wanted"),
    ({"slice_dir": (np.nan, 0, 1)}, "perpendicular unit vectors were wanted"),
    (dict.fromkeys(("read_dir", "phase_dir", "slice_dir"), (0, 0, 0)), "are missing; right-handed ones were wanted"),
    ({"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0), "slice_dir": (0, 0, -1)}, "are left-handed; right-handed ones"),
]


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


def test_slices_that_never_came_are_told_of():
    told = flags(word(asked()), word(answer()), *list(images())[:3])[-1]
    assert told.severity is Severity.WARN
    assert "3 images lie where the console said" in told.message
    assert "2 of 5 slices never came" in told.message


def test_what_the_console_set_may_have_come_over_the_bus():
    here = context(of=SCAN)
    here.memory.answers.put((ID,), answer(decision="overridden", stack=STACK.model_copy(update={"slices": 4})))
    got = list(placed(here)(iter([word(asked()), *images()])))
    first = next(message for message in got if isinstance(message, Flag))
    assert "the console set other values (overridden): 4 instead of 5 slices" in first.message
    assert got[-2].meta["Scanside.PrescriptionDecision"] == "overridden"


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
    assert "3 instead of 5 slices" in second.message
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


@pytest.mark.parametrize(("directions", "match"), PLACELESS)
def test_images_whose_directions_say_no_place_leave_and_are_told_of_once(directions, match):
    sent = list(images())
    for image in sent:
        for name, value in directions.items():
            image.header[name] = value
    got = run(word(asked()), word(answer()), *sent)
    assert sum(isinstance(message, Image) for message in got) == len(sent)
    (told,) = [message for message in got if isinstance(message, Flag) and message.code == "prescription"]
    assert told.severity is Severity.UNKNOWN
    assert "slice 0 lies where the console said it had set it cannot be told" in told.message
    assert match in told.message


def test_an_image_without_a_field_of_view_is_told_of_and_the_others_are_compared():
    first, *rest = images()
    first.header["field_of_view"] = 0
    unknown, passed = flags(word(asked()), word(answer()), first, *rest)
    assert unknown.severity is Severity.UNKNOWN
    assert "field of view (0.0, 0.0, 0.0) mm; numbers > 0 were wanted" in unknown.message
    assert "4 images lie where the console said" in passed.message


@pytest.mark.parametrize(("directions", "match"), PLACELESS)
def test_a_server_sends_the_image_of_such_a_scan_and_no_error(server, directions, match):
    lines = raw()
    for name, value in directions.items():
        lines.headers[name] = value
    got = talked(server, WITH_PLACED, lines)
    assert sum(isinstance(message, Image) for message in got) == 1
    (told,) = [text for text in texts(got) if "prescription: " in text]
    assert told.startswith("WRN ")
    assert match in told
    assert not [text for text in texts(got) if text.startswith("ERR")]


def test_a_server_says_once_that_a_scan_protocol_compares_nothing_with_what_was_prescribed(server):
    got = talked(server, TOML, raw())
    assert sum(isinstance(message, Image) for message in got) == 1
    (told,) = [text for text in texts(got) if "prescription" in text]
    assert told.startswith("WRN prescription: the scan names prescription 00000000000000ab, and scan protocol test has")
    assert "no gadget placed to compare it with" in told
    assert not [text for text in texts(talked(server, WITH_PLACED, raw())) if "no gadget placed" in text]


def test_words_that_come_thick_and_fast_neither_break_a_session_nor_are_said_back(server):
    start = Config(TOML, is_name=False), Header(write_header(replace(small_scan(), patient_position="HFS")))
    words = [Feedback("SomethingElse", bytes([n % 256])) for n in range(4000)]
    got = talk(server.port, [*start, *words, raw(), Close()])
    assert sum(isinstance(message, Image) for message in got) == 1
    assert not [text for text in texts(got) if "internal error" in text]
    assert not [message for message in got if isinstance(message, Feedback)]


def test_a_chain_without_placed_says_so_of_words_that_cannot_be_read_and_nothing_of_scans_without_any():
    (told,) = [m for m in build(context())(iter([Feedback(NAME, b"garbage")])) if isinstance(m, Flag)]
    assert told.severity is Severity.UNKNOWN
    assert told.message.startswith("the scan names a prescription that cannot be read, ")
    assert not [m for m in build(context())(iter([Feedback("SomethingElse", b"1")])) if isinstance(m, Flag)]


def test_every_shipped_scan_protocol_of_a_brain_compares_its_slices_with_the_prescription():
    brains = [name for name in names() if name.startswith("brain_")]
    assert len(brains) > 3
    assert all("placed" in find(name).chain.order for name in brains)


def around(subject, memory=None, **of):
    """A scan whose header names a subject, after what earlier scans left behind."""
    xml = f"<h><subjectInformation><patientID>{subject}</patientID></subjectInformation></h>" if subject else ""
    made = context(of=replace(SCAN, **of), xml=xml)
    return made if memory is None else replace(made, memory=memory)


def scouted(subject, **of):
    """The memory of a server that has seen a volume of a scout."""
    made = around(subject, **{"measurement_id": "scout_1", **of})
    grid = Grid((8, 8, 8), (240.0, 240.0, 240.0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    list(remember(made)(iter([Image(place(np.zeros(1, IMAGE)[0], grid), np.ones((1, 8, 8, 8), np.uint16))])))
    return made.memory


def planned(subject):
    """The memory of a server that has prescribed from landmarks in slices."""
    made = around(subject, measurement_id="scout_1")
    assert [one for one in prescriptions(made, posed(time_s=time.time()), "", "") if isinstance(one, Prescription)]
    return made.memory


def doubts(surroundings, *words):
    got = placed(surroundings)(iter([*words, *images()]))
    return [m for m in got if isinstance(m, Flag) and "another subject" in m.message]


@pytest.mark.parametrize("before", [scouted, planned])
def test_a_prescription_made_on_a_scout_of_another_subject_is_told_before_the_first_image(before):
    said = word(asked())
    first, *_ = placed(around("Bob", before("Alice")))(iter([said, said, word(answer()), *images()]))
    assert (first.code, first.severity) == ("prescription", Severity.WARN)
    assert first.message == "the prescription was made on a scout of another subject"
    assert first.advice
    assert len(doubts(around("Bob", before("Alice")), said, said, word(answer()))) == 1


@pytest.mark.parametrize(("of_scout", "of_scan"), [("Alice", "Alice"), ("", "Bob"), ("Alice", "")])
def test_the_same_subject_and_one_that_is_not_known_are_no_doubt(of_scout, of_scan):
    assert doubts(around(of_scan, scouted(of_scout)), word(asked()), word(answer())) == []


def test_scouts_without_measurement_id_are_not_taken_for_one_another():
    memory = scouted("Alice", measurement_id="")
    assert doubts(around("Bob", memory), word(asked(scout_measurement_id="")), word(answer())) == []


def test_who_the_subject_is_stays_in_no_memory():
    memory = scouted("Alice")
    assert memory.subjects.get(("scout_1",)) not in (None, b"Alice", scouted("Alice").subjects.get(("scout_1",)))
    assert "secret" not in repr(memory)


@pytest.fixture(scope="module")
def server():
    with running(ServeOptions(port=0)) as made:
        yield made


def talked(server, toml, lines):
    """What a server says to a small scan that names a prescription."""
    start = Config(toml, is_name=False), Header(write_header(replace(small_scan(), patient_position="HFS")))
    flat = STACK.model_copy(update={"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0), "slice_dir": (0, 0, 1)})
    words = word(asked(stack=flat)), word(answer(stack=flat))
    return talk(server.port, [*start, *words, lines, Close()])


def texts(got):
    return [message.text for message in got if isinstance(message, Text)]

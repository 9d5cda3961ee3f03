"""A patient who moves between scout and scan is told of from the images; one who lies still is not."""

from dataclasses import replace

import numpy as np
import pytest

from gadgets.placed import placed
from gadgets.remember import MOST, remember
from hw_sim.devices import AT_REST, Pose
from protocols.events import Flag
from protocols.geometry import Grid, lps_from_pixel, place
from protocols.messages import Image
from protocols.mrd import IMAGE
from protocols.stack import Stack, centres_mm
from tests.engines.positioning.test_rigid import OTHER, T1, mni_head
from tests.gadgets.test_placed import SCAN, answer, asked, word
from tests.making import busy, context

STACK = Stack(
    centre_mm=(0.0, 0.0, 10.0), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1),
    field_of_view_mm=(220.0, 240.0), thickness_mm=4.0, gap_mm=4.0, slices=12,
)  # fmt: skip


def image(grid, pose, contrast, number=0):
    index = np.moveaxis(np.indices(grid.matrix), 0, -1)
    pixels = mni_head().image(pose.to_patient(lps_from_pixel(grid, index)), lambda tissue: contrast.get(tissue.name, 0))
    header = place(np.zeros(1, IMAGE)[0], grid)
    header["slice"] = number
    return Image(header, pixels.T[None])


def scout():
    grid = Grid((48, 48, 40), (240.0, 240.0, 200.0), (0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    return image(grid, AT_REST, T1)


def three_planes():
    """Five slices of each plane, 20 mm apart."""
    planes = ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 0, 1), (0, -1, 0)), ((0, 1, 0), (0, 0, 1), (1, 0, 0))
    for plane, directions in enumerate(planes):
        for number in range(5):
            middle = tuple(20.0 * (number - 2) * np.array(directions[2]))
            grid = Grid((80, 80, 1), (240.0, 240.0, 6.0), middle, *directions)
            yield image(grid, AT_REST, T1, 5 * plane + number)


def slices(pose, count=12):
    for number, centre in enumerate(centres_mm(STACK)[:count]):
        grid = Grid((55, 60, 1), (220.0, 240.0, 4.0), tuple(centre), (1, 0, 0), (0, 1, 0), (0, 0, 1))
        yield image(grid, pose, OTHER, number)


def told(*images, seen=None, **more):
    """What a prescribed scan says of the patient's place, after a scout: a volume, if nothing else was seen."""
    surroundings = replace(context(of=replace(SCAN, measurement_id="scout_1")), **more)
    list(remember(surroundings)(iter([scout()] if seen is None else seen)))
    words = word(asked(stack=STACK)), word(answer(stack=STACK))
    passed = list(placed(surroundings)(iter([*words, *images])))
    assert [message.header["slice"] for message in passed if isinstance(message, Image)] == list(range(len(images)))
    return [message for message in passed if isinstance(message, Flag) and message.code == "displaced"]


@pytest.mark.parametrize(
    ("pose", "stale", "seen"),
    [
        (AT_REST, False, lambda: [scout()]),
        (Pose((5.0, 0.0, 0.0)), True, lambda: [scout()]),
        (Pose((0.0, -3.0, 4.0)), True, lambda: [scout()]),
        (Pose(turn_deg=(5.0, 0.0, 0.0)), True, lambda: [scout()]),
        (Pose(turn_deg=(0.0, 3.0, -4.0)), True, lambda: [scout()]),
        (AT_REST, False, three_planes),
        (Pose((0.0, -3.0, 4.0)), True, three_planes),
        (Pose(turn_deg=(0.0, 3.0, -4.0)), True, three_planes),
    ],
)
def test_a_patient_who_moves_by_5_mm_or_5_deg_makes_the_prescription_stale(pose, stale, seen, monkeypatch):
    monkeypatch.setattr("gadgets.displaced.PATIENCE_S", 100.0)
    (flag,) = told(*slices(pose), seen=seen())
    assert flag.severity.value == ("WARN" if stale else "PASS")
    assert ("the prescription is stale" in flag.message) == stale
    assert flag.evidence["mm"] == pytest.approx(
        np.linalg.norm(pose.from_patient(np.array(STACK.centre_mm)) - STACK.centre_mm), abs=1.2
    )
    assert flag.evidence["deg"] == pytest.approx(np.linalg.norm(pose.turn_deg), abs=1.2)
    assert flag.evidence["slices"] == 6  # half of them are enough


def test_what_cannot_be_told_is_unknown_and_says_why():
    (unknown,) = told(*slices(AT_REST), seen=[])
    assert unknown.severity.value == "UNKNOWN"
    assert "no image of scout 'scout_1' is known here" in unknown.message
    (few,) = told(*slices(AT_REST, 2))
    assert "2 slices came, 4 were wanted" in few.message
    dark = [
        replace(one, pixels=np.random.default_rng(1).random(one.pixels.shape, np.float32)) for one in slices(AT_REST)
    ]
    (unlike,) = told(*dark)
    assert "the images are unlike the scout" in unlike.message


def test_workers_that_do_not_come_to_it_cost_a_flag_and_no_image(monkeypatch):
    monkeypatch.setattr("gadgets.displaced.PATIENCE_S", 0.01)
    with busy() as workers:
        (late,) = told(*slices(AT_REST), workers=workers)
    assert late.severity.value == "UNKNOWN"
    assert "no result after 0.01 s" in late.message


def test_slices_that_cross_none_of_the_scout_do_not_tell_where_the_patient_lies():
    (flag,) = told(*slices(AT_REST), seen=list(three_planes())[:5])
    assert flag.severity.value == "UNKNOWN"
    assert "images and scout show too little of the same brain" in flag.message


def test_of_a_scout_the_last_slice_of_every_number_is_kept_and_no_more_than_memory_is_meant_for():
    surroundings = context(of=replace(SCAN, measurement_id="scout_1"))
    grid = Grid((4, 4, 1), (240.0, 240.0, 6.0), (0.0, 0.0, 0.0), (1, 0, 0), (0, 1, 0), (0, 0, 1))

    def numbered(number, value):
        header = place(np.zeros(1, IMAGE)[0], grid)
        header["slice"] = number
        return Image(header, np.full((1, 1, 4, 4), value, np.float32))

    nowhere = numbered(3, 7.0)
    nowhere.header["slice_dir"] = 0.0
    list(remember(surroundings)(iter([*(numbered(number, 1.0) for number in range(60)), nowhere, numbered(2, 5.0)])))
    kept = surroundings.memory.slices.get(("scout_1",)).slabs
    assert [float(pixels.mean()) for pixels, _ in kept] == [1.0, 1.0, 5.0, *[1.0] * (MOST - 3)]

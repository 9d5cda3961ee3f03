"""The true landmarks of the simulated head lie where its tissue says, in any pose."""

import numpy as np
import pytest

from engines.positioning.prescribe import prescribe
from hw_sim.devices import AT_REST, Pose
from hw_sim.head import mni_head
from hw_sim.landmarks import head_landmarks
from protocols.anatomy import find_anatomy
from protocols.stack import apart

POSE = Pose((10.0, -4.0, -5.0), (8.0, -5.0, 12.0))


def white(tissue):
    return float(tissue.name == "white")


def test_there_and_back_again_is_nothing():
    points = np.random.default_rng(1).normal(size=(20, 3)) * 80
    assert np.abs(POSE.to_patient(POSE.from_patient(points)) - points).max() < 1e-9
    assert np.abs(AT_REST.from_patient(points) - points).max() < 1e-9


@pytest.mark.parametrize(
    ("name", "inwards"), [("genu", (0.0, 4.0, 0.0)), ("splenium", (0.0, -1.0, 4.0))]
)  # its foremost, and its lowest point
def test_the_corpus_callosum_begins_where_the_landmark_says(name, inwards):
    head = mni_head()
    place = np.array(head_landmarks(head, "HFS").landmarks[name])
    line = np.array([place + inwards, place - inwards])
    inside, outside = head.image(POSE.to_patient(POSE.from_patient(line)), white)
    assert inside > outside + 0.3


def test_a_prescription_from_true_landmarks_turns_and_moves_with_the_head():
    anatomy, head = find_anatomy("head"), mni_head()
    stacks = []
    for pose in (AT_REST, POSE):
        found = head_landmarks(head, "HFS", pose)
        made = prescribe(anatomy, "brain_axial", found, found.time_s)
        assert (made.status, made.reasons) == ("OK", ())
        stacks.append(made.stack)
    still, moved = stacks
    centre = POSE.from_patient(np.array(still.centre_mm))
    off = apart(still.model_copy(update={"centre_mm": tuple(centre)}), moved)
    assert off.centre_mm < 1e-6
    assert off.turn_deg == pytest.approx(np.linalg.norm((8, -5, 12)), abs=1e-6)


def test_eyes_are_not_known_so_that_orbits_are_refused_by_name():
    found = head_landmarks(mni_head(), "HFS")
    made = prescribe(find_anatomy("head"), "orbits", found, found.time_s)
    assert made.status == "REFUSED"
    assert [reason.split("'")[1] for reason in made.reasons] == ["eye_left", "eye_right", "chiasm"]

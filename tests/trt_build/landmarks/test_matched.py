"""Landmarks that lie off are found to lie off by as much, and are moved back by as much."""

from dataclasses import replace

import numpy as np
import pytest

from trt_build.landmarks.heads import NAMES
from trt_build.landmarks.matched import MIDLINE, moved, off_mm
from trt_build.landmarks.registration import template
from trt_build.landmarks.strangers import FACELESS, stranger

OFF_MM = (0.0, -1.5, 1.0)


@pytest.fixture(scope="module")
def head():
    """The template itself, its landmarks carried wrongly."""
    known = stranger(FACELESS)
    places = known.places_mm.copy()
    places[[NAMES.index(name) for name in MIDLINE]] += np.multiply(known.pose.scale, OFF_MM)
    return replace(known, places_mm=places)


def test_the_templates_own_surroundings_are_found_where_they_are(head):
    found = off_mm([head], template())
    assert set(found) == set(MIDLINE)
    assert np.abs(np.array([found[name] for name in MIDLINE]) - OFF_MM).max() <= 0.5


def test_a_landmark_is_moved_by_what_it_lies_off_in_the_size_and_the_pose_of_its_head(head):
    known = {"places": {head.name: {"ac": [1.0, 2.0, 3.0], "eye_left": [0.0, 0.0, 0.0]}}, "turns": {}}
    quarter = np.array(((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)))
    tilted = replace(head, turn=quarter, pose=replace(head.pose, scale=0.5))
    made = moved(known, [tilted], {"ac": np.array((0.0, 2.0, 4.0))})
    assert made["places"][head.name] == {"ac": [1.0, 4.0, 2.0], "eye_left": [0.0, 0.0, 0.0]}
    assert known["places"][head.name]["ac"] == [1.0, 2.0, 3.0]

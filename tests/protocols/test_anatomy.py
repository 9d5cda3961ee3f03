"""Anatomies and landmark files: what is wrong with one is told with its place and the nearest right name."""

from pathlib import Path

import pytest

from protocols.anatomy import anatomies, find_anatomy, load_anatomy
from protocols.landmarks import load_landmarks, write_landmarks
from protocols.problems import ProtocolError
from tests.engines.positioning.heads import posed

HEAD = find_anatomy("head")
TEXT = Path(HEAD.where).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", anatomies())
def test_every_shipped_anatomy_is_right_and_every_plan_is_made_of_known_landmarks(name):
    read = find_anatomy(name)
    for plan in read.plans:
        assert set(read.made_of(plan)) <= set(read.landmarks)
    assert len(read.hash) == 64


def test_a_plan_knows_the_landmarks_behind_its_axes():
    midline = {"ac", "pc", "genu", "splenium", "fossa", "pons"}
    assert set(HEAD.made_of("brain_axial")) == midline | {"hippocampus_tail_left", "hippocampus_tail_right"}
    assert set(HEAD.made_of("orbits")) == {"eye_left", "eye_right", "chiasm"}


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('name = "head"', 'name = "haed"', "name: got 'haed', wanted 'head', as the file is called"),
        ('slice = "superior"', 'slice = "upwards"', r"plans.brain_axial: no axis is called 'upwards'"),
        ('cover = "brain"', 'cover = "brian"', "no surface or landmark is called 'brian'. Did you mean 'brain'"),
        ('contain = "head"', 'contain = "ac"', "no surface is called 'ac'"),
        ('along = ["pc", "ac"]', 'along = ["pc", "av"]', "axes.anterior: no landmark is called 'av'"),
        ('cross = ["anterior", "left"]', 'cross = ["superior", "left"]', "axes.superior: it is made of itself"),
        ('cross = ["anterior", "left"]', "", "wanted exactly one"),
        ('towards = ["hippocampus_tail_right", "hippocampus_tail_left"]', "", "a plane has two sides"),
        ("thickness_mm = 4.0", "thickness_mm = 0.0", r"plans.brain_axial.thickness_mm: got 0.0"),
        ("margin_mm = 3.0", "marging_mm = 3.0", "Did you mean 'margin_mm'"),
        ("[landmarks]", "[landmarks", "cannot be read"),
    ],
)
def test_what_is_wrong_with_an_anatomy_is_told_with_its_key(old, new, match, tmp_path):
    assert old in TEXT
    path = tmp_path / "head.toml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProtocolError, match=match):
        load_anatomy(path)


def test_an_anatomy_that_nobody_knows_is_told_with_those_that_are_known():
    with pytest.raises(ProtocolError, match="Did you mean 'head'"):
        find_anatomy("heads")


def test_landmarks_survive_their_file_to_a_micrometre(tmp_path):
    path = tmp_path / "found.toml"
    found = posed(
        (0.1, -0.2, 0.05, 1),
        (12, -7, 3),
        cut=("head",),
        snr=12.5,
        region90_mm={"ac": 1.5},
        plan_factors={"orbits": (1.5, 0.5)},
    )
    path.write_text(write_landmarks(found), encoding="utf-8")
    read = load_landmarks(path)
    assert read.model_dump(exclude={"landmarks", "surfaces"}) == found.model_dump(exclude={"landmarks", "surfaces"})
    for name, place in found.landmarks.items():
        assert read.landmarks[name] == pytest.approx(place, abs=1e-3)
    assert read.surfaces["brain"][7] == pytest.approx(found.surfaces["brain"][7], abs=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('"HFS"', '"HFX"', "patient_position: got 'HFX'. Known: FFDL"),
        ("ac = [", "ac = [1.0, ", r"landmarks.ac"),
        ("time_s", "times_s", "Did you mean 'time_s'"),
        ("ac = [", "ac = ", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_landmark_file_is_told(old, new, match, tmp_path):
    path = tmp_path / "found.toml"
    path.write_text(write_landmarks(posed()).replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProtocolError, match=match):
        load_landmarks(path)

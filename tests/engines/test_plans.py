"""Plans are handed out for exactly what they were built for, untouched; all else is built again, with a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.plans import Plans

KEY = {"model": "brain", "graph": "model", "hash": "1f", "backend": "tensorrt", "version": "11.4", "gpu": "H200 (9.0)",
       "driver": "13.0", "options": "single"}  # fmt: skip


@pytest.fixture
def told():
    return []


@pytest.fixture
def plans(tmp_path, told):
    return Plans(tmp_path / "plans", told.append)


def test_what_was_kept_comes_back(plans, told):
    assert plans.get(KEY) is None
    plans.put(KEY, b"plan")
    assert plans.get(KEY) == b"plan"
    assert told == []
    assert not list(plans.folder.glob(".new-*"))


@pytest.mark.parametrize("part", ["hash", "version", "gpu", "driver", "options", "backend"])
def test_a_plan_of_something_else_is_not_found(plans, part):
    plans.put(KEY, b"plan")
    assert plans.get({**KEY, part: "other"}) is None


@pytest.mark.parametrize("part", ["hash", "version", "gpu", "driver", "options"])
def test_a_plan_that_was_copied_from_elsewhere_is_built_again(plans, told, part):
    elsewhere = {**KEY, part: "elsewhere"}
    plans.put(elsewhere, b"plan")
    for suffix in (".plan", ".json"):
        plans.path(elsewhere).with_suffix(suffix).rename(plans.path(KEY).with_suffix(suffix))
    assert plans.get(KEY) is None
    assert f"built for {part} 'elsewhere'" in told[0]
    assert "built again" in told[0]


@given(st.data())
def test_no_byte_of_a_plan_can_change(tmp_path_factory, data):
    told = []
    plans = Plans(tmp_path_factory.mktemp("plans"), told.append)
    plans.put(KEY, b"twelve bytes")
    content = bytearray(b"twelve bytes")
    content[data.draw(st.integers(0, 11))] ^= data.draw(st.integers(1, 255))
    plans.path(KEY).write_bytes(content)
    assert plans.get(KEY) is None
    assert "damaged or altered" in told[0]


@pytest.mark.parametrize("note", [b"", b"{", b"\xff\xfe", b"[1]", b'{"key": {}}', b'{"key": 3}'])
def test_a_damaged_note_is_no_note(plans, note):
    plans.put(KEY, b"plan")
    plans.path(KEY).with_suffix(".json").write_bytes(note)
    assert plans.get(KEY) is None


def test_a_plan_without_its_note_or_a_note_without_its_plan_is_none(plans):
    plans.put(KEY, b"plan")
    plans.path(KEY).unlink()
    assert plans.get(KEY) is None
    plans.put(KEY, b"plan")
    plans.path(KEY).with_suffix(".json").unlink()
    assert plans.get(KEY) is None


def test_a_plan_that_others_can_write_is_not_trusted(plans, told):
    plans.put(KEY, b"plan")
    plans.path(KEY).chmod(0o666)
    assert plans.get(KEY) is None
    assert "somebody else" in told[0]


def test_a_folder_that_cannot_be_written_is_told_once_and_all_goes_on(tmp_path, told):
    (tmp_path / "plans").write_text("a file where the folder should be")
    plans = Plans(tmp_path / "plans", told.append)
    assert not plans.put(KEY, b"plan")
    assert not plans.put(KEY, b"plan")
    assert plans.get(KEY) is None
    plans.refuse(KEY, "0.3 dB off")
    plans.accept(KEY)
    assert plans.refused(KEY) is None
    assert [line for line in told if "cannot be kept" in line] == told[:1]


def test_a_plan_is_forgotten_once(plans):
    plans.put(KEY, b"plan")
    assert plans.forget(KEY)
    assert not plans.forget(KEY)
    assert plans.get(KEY) is None


def test_a_refused_plan_is_gone_until_it_is_accepted(plans):
    plans.put(KEY, b"plan")
    plans.refuse(KEY, "0.3 dB off")
    assert plans.get(KEY) is None
    assert plans.refused(KEY) == "0.3 dB off"
    assert plans.refused({**KEY, "version": "11.5"}) is None
    plans.accept(KEY)
    assert plans.refused(KEY) is None
    plans.put(KEY, b"plan")
    plans.accept(KEY)
    assert plans.get(KEY) == b"plan"


def test_the_note_says_to_people_what_the_plan_is_of(plans):
    plans.put(KEY, b"plan")
    assert plans.path(KEY).name.startswith("brain-model-tensorrt-")
    assert json.loads(plans.path(KEY).with_suffix(".json").read_text())["key"] == KEY

"""The folder of prior exams: nobody's name, whole files, not too many, and a clear word for what is broken."""

import os
import stat

import numpy as np
import pytest

from engines.positioning.follow_up import Exam, Plane
from engines.positioning.scout import Scout
from gadgets import prior_store
from gadgets.prior_store import PriorError, keep, pseudonym, recall
from hw_sim.devices import AT_REST
from hw_sim.truth import true_stack

STACK = true_stack("mni", "brain_axial", AT_REST)
PLANE = Plane(stack=STACK, asked=STACK, time_s=1.0)


def exam(plane=PLANE):
    pixels = np.random.default_rng(1).random((12, 12, 12)).astype(np.float32)
    scout = Scout(pixels, np.diag((4.0, 4.0, 4.0, 1.0)), None, "HFS", (0.0, 0.0, 0.0), "scout", 0.0)
    return Exam(scout, {"brain_axial": STACK}, {"brain_axial": plane})


def test_what_was_kept_is_recalled_and_is_for_its_owner_alone(tmp_path):
    folder = tmp_path / "new" / "priors"
    name = pseudonym(folder, "Doe, Jane 1970", "head")
    path = keep(folder, name, exam())
    assert recall(folder, name).planes == {"brain_axial": PLANE}
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path, folder / "key")} == {0o600}
    assert {one.name for one in folder.iterdir()} == {path.name, "key"}
    assert recall(folder, pseudonym(folder, "Doe, John 1970", "head")) is None


def test_a_pseudonym_is_the_same_in_one_folder_and_another_one_elsewhere_and_tells_no_name(tmp_path):
    here, there = (pseudonym(tmp_path / name, "Jane", "head") for name in "ab")
    assert here == pseudonym(tmp_path / "a", "Jane", "head")
    assert here != there
    assert here.endswith("-head")
    assert "Jane" not in here


@pytest.mark.parametrize("damage", [b"", b"PK nothing", "cut", "flipped"])
def test_a_file_that_is_broken_is_named_and_the_next_exam_takes_its_place(tmp_path, damage):
    path = keep(tmp_path, "subject-head", exam())
    whole = path.read_bytes()
    middle = len(whole) // 2
    broken = {"cut": whole[:middle], "flipped": whole[:middle] + b"\xff" * 40 + whole[middle + 40 :]}
    path.write_bytes(broken.get(damage, damage))
    with pytest.raises(PriorError, match=r"subject-head\.npz: no prior exam can be read"):
        recall(tmp_path, "subject-head")
    keep(tmp_path, "subject-head", exam())
    assert recall(tmp_path, "subject-head") is not None


def test_planes_that_cannot_be_measured_are_not_recalled(tmp_path):
    keep(tmp_path, "odd", exam(PLANE.model_copy(update={"stack": STACK.model_copy(update={"read_dir": (0, 0, 0)})})))
    with pytest.raises(PriorError, match="no prior exam can be read"):
        recall(tmp_path, "odd")


def test_a_folder_that_cannot_be_used_is_told_and_so_is_a_key_that_is_none(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(PriorError, match="--priors"):
        pseudonym(file, "Jane", "head")
    with pytest.raises(PriorError, match="--priors"):
        keep(file, "subject", exam())
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(PriorError, match="5 bytes, wanted 32"):
        pseudonym(tmp_path, "Jane", "head")
    with pytest.raises(PriorError, match="letters, digits"):
        recall(tmp_path, "../passwd")


def test_the_subjects_that_were_here_longest_ago_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(prior_store, "MOST", 2)
    for age, name in ((30, "oldest"), (20, "older")):
        os.utime(keep(tmp_path, name, exam()), (1e9 - age, 1e9 - age))
    recall(tmp_path, "oldest")
    keep(tmp_path, "new", exam())
    assert {path.stem for path in tmp_path.glob("*.npz")} == {"oldest", "new"}

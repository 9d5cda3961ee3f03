"""Training is the same whenever it is run, probabilities hold afterwards, and what is exported is what was trained."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import trt_build.artefacts.publish
from engines.artefacts.findings import findings
from engines.artefacts.names import ARTEFACTS
from engines.artefacts.planes import planes_of
from engines.engine import open_engine
from engines.model import load_model
from trt_build.artefacts.collection import Collection, collect, load, save
from trt_build.artefacts.figures import calibration_error
from trt_build.artefacts.training import Plan, answers, calibrate, train
from trt_build.cli import app


@pytest.fixture(scope="module")
def known(folder):
    return collect(folder, "train", 4, 1, workers=0)


def test_what_is_kept_is_what_was_collected(known, tmp_path):
    save(known, tmp_path / "some.npz")
    again = load(tmp_path / "some.npz")
    assert again.shapes.keys() == known.shapes.keys()
    assert len(again) == len(known)
    for shape, rows in known.shapes.items():
        for name, row in rows.items():
            np.testing.assert_array_equal(again.shapes[shape][name], row)


def test_nobody_learns_from_motion_that_changed_nothing(known):
    rows = {name: row.copy() for name, row in next(iter(known.shapes.values())).items()}
    rows["present"][:], rows["severity"][:] = False, 0.0
    rows["present"][0, 0], rows["severity"][0, 0] = True, 0.001
    assert len(Collection({(1, 1): rows}).visible()) == len(rows["present"]) - 1


def test_the_same_plan_makes_the_same_network(known):
    plan = Plan(steps=1, batch=4)
    one, other = (train(known, plan)[0].state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_probabilities_hold_after_calibration(known):
    network, _ = train(known, Plan(steps=1, batch=4))
    with torch.no_grad():
        network.score.bias += 3.0  # everything is there, it says
    present = known.together("present")

    def error():
        return calibration_error(1 / (1 + np.exp(-answers(network, known)[0].ravel())), present.ravel())

    before = error()
    calibrate(network, known)
    assert error() < 0.25 * before


def test_from_volumes_to_a_model_by_the_command_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(trt_build.artefacts.publish, "HELD_OUT", 3)
    runs = tmp_path / "runs"
    asked = ["train-artefacts", str(folder), "--out", str(runs), "--scans", "3", "--steps", "1", "--workers", "0"]
    trained = CliRunner().invoke(app, asked)
    assert trained.exit_code == 0, trained.output
    asked = ["export", str(runs / "checkpoint.pt"), "--out", str(tmp_path / "found"), "--data", str(folder)]
    exported = CliRunner().invoke(app, asked)
    assert exported.exit_code == 0, exported.output
    model = load_model(tmp_path / "found", allow_unsigned=True)
    assert (model.card.task, model.card.multiple) == ("artefacts", 16)
    assert model.card.figures["test_clean"] == 3
    assert {name.split("_")[1] for name in model.card.figures} <= {"images", "clean", *ARTEFACTS}
    pixels = np.random.default_rng(0).uniform(0, 1, (90, 70)).astype(np.float32)
    with open_engine(model, "onnxruntime") as engine:
        found = findings(engine(planes_of(pixels)), pixels.shape)
    assert all(0 <= finding.probability <= 1 and finding.severity > 0 for finding in found)


def test_a_folder_without_heads_is_one_line_and_a_failure(tmp_path):
    done = CliRunner().invoke(app, ["train-artefacts", str(tmp_path), "--out", str(tmp_path / "runs")])
    assert done.exit_code == 1
    assert "no NIfTI volume" in done.output

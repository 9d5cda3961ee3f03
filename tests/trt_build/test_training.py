"""Training is the same whenever it is run, goes on where it stopped, and says what is wrong."""

import csv
import errno

import numpy as np
import pytest
import tomli_w
import torch
from typer.testing import CliRunner

from tests.trt_build.data.test_volumes import ball, write
from trt_build.cli import app
from trt_build.data.recipe import Recipe as DataRecipe
from trt_build.training import checkpoint
from trt_build.training.checkpoint import CheckpointError
from trt_build.training.networks import network_of
from trt_build.training.recipe import RECIPES, Recipe, RecipeError, read_recipe
from trt_build.training.stream import Setups, pieces
from trt_build.training.trainer import Training, train, validation_batches

DATA = {"frames": 2, "lines": [48, 48], "strip": [16, 16], "coils": [4, 4], "calibration": [16, 16], "withheld": 0.0}
BLOCK = 4
SMALL = {"cascades": 1, "width": 8, "hidden": 4, "coarse": 1}


def small(**changes):
    given = {"steps": 4, "frames_per_setup": 2, "uses": 1, "validate_every": 2, "shape": SMALL, "data": DATA}
    return Recipe(**(given | changes))


@pytest.fixture(autouse=True)
def little_to_do(monkeypatch):
    def some(training):
        made = Setups(None, training.recipe.setups(), 7, 0, 2)
        return iter([made[0], made[1]])

    monkeypatch.setattr("trt_build.training.trainer.validation_batches", some)
    for module in ("recipe", "stream"):
        monkeypatch.setattr(f"trt_build.training.{module}.BLOCK", BLOCK)


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_a_resumed_training_ends_where_a_whole_one_does(tmp_path):
    whole = train(Training(small(), None, tmp_path / "whole", workers=0))
    half = Training(small(), None, tmp_path / "half", workers=0)

    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.step == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(half, stop)
    resumed = train(Training(half.recipe, None, half.out, workers=0, resume=True))
    assert torch.equal(weights(whole), weights(resumed))
    with (tmp_path / "half" / "curves.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4", "4"]
    assert (tmp_path / "half" / "curves.png").stat().st_size > 1000


def test_setups_do_not_depend_on_the_number_of_workers():
    setups = Setups(None, small().setups(), 5, 0, BLOCK)
    alone, helped = (list(pieces(setups, 2, 2, 1, workers)) for workers in (0, 1))
    assert len(alone) == len(helped) == BLOCK // 2
    for one, other in zip(alone, helped, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a.normal, b.normal)
            assert torch.equal(a.inverse, b.inverse)
            assert torch.equal(a.scan, b.scan)


@pytest.mark.parametrize("supervision", ["ssdu", "noise2noise"])
def test_it_learns_without_fully_sampled_images(tmp_path, supervision):
    training = Training(small(steps=2), None, tmp_path, supervision, workers=0)
    losses = []
    train(training, lambda progress: losses.append(progress.loss))
    assert len(losses) == 2
    assert all(loss > 0 for loss in losses)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    recipe = small()
    checkpoint.save(tmp_path / "c.pt", recipe, "supervised", {"step": 1})
    assert checkpoint.load(tmp_path / "c.pt", recipe, "supervised")["step"] == 1
    with pytest.raises(CheckpointError, match="another training: shape was"):
        checkpoint.load(tmp_path / "c.pt", small(shape=SMALL | {"width": 16}), "supervised")
    with pytest.raises(CheckpointError, match="supervision was 'supervised', is 'ssdu' now"):
        checkpoint.load(tmp_path / "c.pt", recipe, "ssdu")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        checkpoint.load(tmp_path / "none.pt", recipe, "supervised")
    (tmp_path / "odd.pt").write_text("not one")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoint.load(tmp_path / "odd.pt", recipe, "supervised")


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.pt"
    checkpoint.save(path, small(), "supervised", {"step": 1})

    def full(state, part):
        part.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*the one before is intact"):
        checkpoint.save(path, small(), "supervised", {"step": 2})
    assert checkpoint.load(path, small(), "supervised")["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]


def test_shipped_recipes_can_be_read_and_changed():
    for path in RECIPES.glob("*.toml"):
        assert read_recipe(path, steps=7).steps == 7
    assert read_recipe(RECIPES / "default.toml").setups().strength == 15.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 0", "steps: got 0"),
        ("steps = 9\nstep = 3", "step: got 3"),
        ("steps = ", "not TOML"),
        ("steps = 9\n[data]\ncoil = 3", r"\[data\].*coil.*wanted frames"),
    ],
)
def test_a_recipe_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "r.toml")


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path):
    with pytest.raises(RecipeError, match="default, finish, large"):
        read_recipe(tmp_path / "none.toml")


def test_the_inverse_is_made_with_the_strength_of_the_network():
    assert isinstance(small().setups(), DataRecipe)
    assert small(shape=SMALL | {"strength": 0.7}).setups().strength == 0.7


def test_it_can_begin_with_the_weights_of_another(tmp_path):
    begun = train(Training(small(steps=2), None, tmp_path / "one", workers=0))
    start = tmp_path / "one" / "checkpoint.pt"
    later = Training(small(steps=1, rate=1e-12, decay=0.0), None, tmp_path / "two", workers=0, start=start)
    torch.testing.assert_close(weights(train(later)), weights(begun), atol=1e-6, rtol=0)
    assert checkpoint.weights(tmp_path / "two" / "checkpoint.pt")["earlier"] > 0
    (tmp_path / "odd.pt").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"odd\.pt: not a checkpoint"):
        train(Training(small(), None, tmp_path / "three", workers=0, start=tmp_path / "odd.pt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: not a folder"),
        ([".", "--recipe", "none.toml"], "none.toml: cannot be read"),
        ([".", "--resume"], "there is no checkpoint"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trt_build.training.trainer.validation_batches", validation_batches)
    done = CliRunner().invoke(app, ["train", *arguments, "--out", "out", "--device", "cpu"])
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


def command(folder, recipe, *more):
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe.model_dump(exclude_none=True)))
    asked = [str(folder), "--recipe", str(path), "--out", str(folder / "out"), "--device", "cpu", *map(str, more)]
    return CliRunner().invoke(app, ["train", *asked])


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_bad_volume_is_told_in_one_line_before_the_first_step(tmp_path, split):
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.nii", ball())
    (tmp_path / "split.csv").write_text(f"subject,split\na,train\nb,validation\nc,{split}\n")
    spoilt = ball()
    spoilt[3, 3, 3] = np.nan
    write(tmp_path / "c.nii", spoilt)
    done = command(tmp_path, small(), "--workers", 1)
    assert done.exit_code == 1
    assert "c.nii: got 1 voxels that are not finite" in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out" / "curves.csv").exists()


@pytest.mark.parametrize("other", [{"network": "unet", "shape": {}}, {"shape": SMALL | {"width": 16}}])
def test_weights_of_another_network_are_no_start(tmp_path, other):
    begun = Recipe(**({"steps": 4, "shape": SMALL, "data": DATA} | other))
    state = {"average": network_of(begun).state_dict(), "minutes": 1.0}
    checkpoint.save(tmp_path / "begun.pt", begun, "supervised", state)
    done = command(tmp_path, small(), "--start", tmp_path / "begun.pt")
    assert done.exit_code == 1
    assert f"a checkpoint of another network: got {begun.network} (" in done.output
    assert "wanted unrolled (cascades 1, coarse 1, hidden 4, width 8); name another --start" in done.output
    assert "Traceback" not in done.output

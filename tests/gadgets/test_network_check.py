"""What is wrong with a protocol's network is told when the protocol is checked, not when the patient lies there."""

import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.recipe import problems
from protocols.scan_protocol import parse
from tests.gadgets.network.making import protocol
from tests.tiny_model import make_model


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path)


def told(text):
    return [str(problem) for problem in problems(parse(text, "test.toml"))]


def test_a_sound_protocol_has_no_problems(model):
    assert told(protocol(model)) == []


@pytest.mark.parametrize(
    ("cut", "put", "words"),
    [
        ("models = {", "#", ("engines.models.network", "missing", "chain.order")),
        ("network = 20000.0", "image = 20000.0", ("deadlines.network", "missing", "linear image leaves")),
        ('"network", "finish"', '"finish"', ("engines.models.network", "no node of this name borrows")),
        ("{ network = ", "{ quality = ", ("engines.models.quality", "Known: network", "missing")),
        ('"network", "finish"', '"finish", "network"', ("chain.order", "data flows in this order only")),
        ('trust = "off"', 'trust = "on"', ("chain.network.trust", "'withhold'")),
        ('trust = "off"', "withheld_share = 0.5", ("chain.network.withheld_share", "0.1")),
    ],
)
def test_what_is_wrong_is_told_with_its_key(model, cut, put, words):
    text = protocol(model, parameters='trust = "off"')
    assert cut in text
    if cut == '"network", "finish"' and put == '"finish"':
        text = text.replace('[chain.network]\ntrust = "off"', "").replace("\nnetwork = 20000.0", "")
    lines = "\n".join(told(text.replace(cut, put)))
    for word in words:
        assert word in lines


def test_with_both_images_no_deadline_is_needed(model):
    assert told(protocol(model, emit="both").replace("network = 20000.0", "image = 20000.0")) == []


def test_an_unknown_model_is_told_with_the_shipped_names():
    (line,) = told(protocol("brian2d"))
    assert "engines.models.network" in line
    assert "no model 'brian2d'" in line


def check(path, *options):
    found = CliRunner().invoke(app, ["check", str(path), *options])
    return found.exit_code, found.output


def test_check_explains_the_network_and_refuses_an_unsigned_or_altered_one(tmp_path, model):
    path = tmp_path / "test_network.toml"
    path.write_text(protocol(model), encoding="utf-8")
    code, said = check(path)
    assert code == 1
    assert "engines.models.network" in said
    assert "sign" in said
    code, said = check(path, "--allow-unsigned")
    assert code == 0
    assert f"network   {model} on onnxruntime, emits network" in said
    assert "network 20000 ms" in said
    (model / "model.onnx").write_bytes(b"something else")
    code, said = check(path, "--allow-unsigned")
    assert code == 1
    assert "altered or damaged" in said

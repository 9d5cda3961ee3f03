"""A model folder is what its card says, and somebody trusted says so, or it is refused with one clear error."""

import contextlib
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.card import parse_card
from engines.errors import ModelError
from engines.model import find_model, load_model, shipped
from engines.onnx_file import read_onnx
from tests.engines.altering import altered_onnx, edit_card, make_model, poison, rehash
from trt_build.sign import make_key, sign_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "tiny")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "site.pem"
    _, public = make_key(path)
    trusted = path.parent / "trusted"
    trusted.mkdir()
    shutil.copy(public, trusted)
    return path


def refusal(folder, **options):
    with pytest.raises(ModelError) as caught:
        load_model(folder, **{"allow_unsigned": True, **options})
    return str(caught.value)


def test_a_whole_model_is_read_with_its_vectors(folder):
    model = load_model(folder, allow_unsigned=True)
    assert model.signed_by is None
    assert set(model.cases("model")) == {"dense", "blocks"}
    given, wanted = model.cases("model")["dense"]
    assert set(given) == {"start", "normal", "inverse", "scan", "noise"}
    assert set(wanted) == {"image", "error"}
    assert len(model.hash) == 64


def test_an_unsigned_model_is_refused_and_the_error_says_how_to_sign(folder):
    assert "scanside-build sign" in refusal(folder, allow_unsigned=False)


def test_a_model_signed_by_a_trusted_key_is_taken(copy, key):
    name, _ = sign_folder(copy, key, ask=lambda: "")
    assert load_model(copy, keys=[key.parent / "trusted"]).signed_by == name


def test_a_signature_by_a_stranger_is_none(copy, key, tmp_path):
    sign_folder(copy, key, ask=lambda: "")
    assert "not trusted here" in refusal(copy, allow_unsigned=False, keys=[tmp_path])


def test_a_card_that_changed_after_it_was_signed_is_refused(copy, key):
    sign_folder(copy, key, ask=lambda: "")
    edit_card(copy, "coils = [2, 32]", "coils = [1, 99]")
    assert "changed after it was signed" in refusal(copy, allow_unsigned=False, keys=[key.parent / "trusted"])


@given(st.data())
def test_no_single_byte_of_a_signed_card_can_change(folder, key, tmp_path_factory, data):
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("bytes") / "tiny")
    sign_folder(copy, key, ask=lambda: "")
    card = bytearray((copy / "card.toml").read_bytes())
    card[data.draw(st.integers(0, len(card) - 1))] ^= data.draw(st.integers(1, 255))
    (copy / "card.toml").write_bytes(card)
    with pytest.raises(ModelError):
        load_model(copy, keys=[key.parent / "trusted"])


@pytest.mark.parametrize("file", ["model.onnx", "vectors.npz", "cascade_0.onnx"])
def test_an_altered_file_is_refused_even_where_unsigned_ones_are_allowed(copy, file):
    content = bytearray((copy / file).read_bytes())
    content[-1] ^= 1
    (copy / file).write_bytes(content)
    assert f"{file}: altered or damaged" in refusal(copy)


def test_a_file_that_changes_after_loading_never_reaches_an_engine(copy):
    model = load_model(copy, allow_unsigned=True)
    (copy / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="altered"):
        model.read("model.onnx")


def test_a_lost_file_is_named(copy):
    (copy / "vectors.npz").unlink()
    assert "vectors.npz: cannot be read" in refusal(copy)


def test_a_folder_without_a_card_is_no_model(tmp_path):
    assert "no card can be read" in refusal(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_corrupt_onnx_is_refused(copy, cut):
    rehash(copy, "model.onnx", (copy / "model.onnx").read_bytes()[:cut])
    assert "not a whole ONNX file" in refusal(copy)


@given(st.binary(max_size=200))
def test_rubbish_is_no_onnx_file_and_crashes_nothing(rubbish):
    with contextlib.suppress(ModelError):
        read_onnx(rubbish, "rubbish")


def test_another_opset_than_the_cards_is_refused(copy):
    def older(model):
        model.opset_import[0].version = 13

    assert "got opset 13, the card says 18" in refusal(altered_onnx(copy, older))


def test_another_input_name_than_the_cards_is_refused(copy):
    def renamed(model):
        model.graph.input[0].name = "b"

    assert "got the inputs b, normal, inverse, scan" in refusal(altered_onnx(copy, renamed))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(copy, value):
    assert "NaN or infinity among the weights" in refusal(altered_onnx(copy, lambda m: poison(m, value)))


def test_weights_outside_the_file_are_refused(copy):
    def moved(model):
        weight = model.graph.initializer[0]
        weight.data_location = onnx.TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"

    assert "weights outside the file" in refusal(altered_onnx(copy, moved))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('task = "unrolled"', 'task = "enrolled"', "Did you mean 'unrolled'?"),
        ("multiple = 8", "multiples = 8", "multiples: no such key"),
        ("acceleration = [2, 8]", "acceleration = [8, 2]", "wanted [smallest, largest]"),
        ("strength = 12.0", "strength = 0", "strength: got 0"),
        ("strength = 12.0", "regularisation = 0.1", "regularisation: no such key"),
        ('"vectors.npz" =', '"other.npz" =', "no SHA-256 of vectors.npz"),
        ('"vectors.npz" =', '"../vectors.npz" =', "vectors.npz"),
        ("[range]", "[range", "not TOML"),
        (
            "[graphs.cascade_0.inputs.rho]",
            '[graphs.cascade_0]\nof = "whole"\n[graphs.cascade_0.inputs.rho]',
            "wanted model",
        ),
        ("[graphs.cascade_0.inputs.rho]", '[graphs.cascade_0.inputs.rho]\ntensor = "there"', "wanted `of` with it"),
    ],
)
def test_a_wrong_card_is_told_with_its_key(copy, old, new, told):
    text = refusal(edit_card(copy, old, new))
    assert told in text
    assert "card.toml" in text


def test_a_card_that_cuts_a_graph_at_a_tensor_that_is_not_there_is_refused(copy):
    table = "[graphs.cascade_0.inputs.rho]"
    text = refusal(edit_card(copy, table, f'[graphs.cascade_0]\nof = "model"\n{table}'))
    assert "model.onnx, graph 'cascade_0': no tensor 'denoised' to cut at" in text


def test_a_card_error_has_its_line():
    with pytest.raises(ModelError, match=r"card.toml:1: name"):
        parse_card('name = "With Blank"\n', "card.toml")


def test_vectors_that_are_no_arrays_are_refused(copy):
    model = load_model(rehash(copy, "vectors.npz", b"nothing"), allow_unsigned=True)
    with pytest.raises(ModelError, match="not a file of NumPy arrays"):
        model.cases("model")


def test_vectors_may_not_hold_pickles(copy, tmp_path):
    np.savez(tmp_path / "bad.npz", **{"model/one/normal": np.array([object()])})
    model = load_model(rehash(copy, "vectors.npz", (tmp_path / "bad.npz").read_bytes()), allow_unsigned=True)
    with pytest.raises(ModelError):
        model.cases("model")


def test_a_name_that_is_not_known_gets_a_list():
    with pytest.raises(ModelError, match="neither shipped nor a folder"):
        find_model("no_such_model")


def test_all_shipped_models_together_have_less_than_ten_megabytes():
    assert sum(file.stat().st_size for folder in shipped().values() for file in folder.iterdir()) < 10e6


def test_the_bound_of_the_shipped_network_holds_at_every_acceleration_within_two_points():
    figures = load_model("brain2d").card.figures
    held = [value for key, value in figures.items() if key.startswith("test_r") and key.endswith("_coverage")]
    assert len(held) == 5
    assert all(abs(share - 0.9) <= 0.02 for share in held)


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_are_signed_by_a_shipped_key(name):
    assert load_model(name).signed_by is not None

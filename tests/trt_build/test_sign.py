"""Keys stay out of repositories, signatures cover whole folders, and what is wrong is told in one line."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from engines.errors import ModelError
from engines.model import load_model
from tests.tiny_model import make_model
from trt_build.cli import app
from trt_build.sign import make_key, sign_folder


def nobody():
    raise AssertionError("asked for a passphrase")


def test_only_the_owner_can_read_a_private_key(tmp_path):
    make_key(tmp_path / "site.pem")
    assert stat.S_IMODE((tmp_path / "site.pem").stat().st_mode) == 0o600
    assert b"PUBLIC KEY" in (tmp_path / "site.public.pem").read_bytes()


def test_no_private_key_is_written_into_a_repository(tmp_path):
    (tmp_path / "tree" / ".git").mkdir(parents=True)
    (tmp_path / "tree" / "deep").mkdir()
    with pytest.raises(ModelError, match="git work tree"):
        make_key(tmp_path / "tree" / "deep" / "site.pem")
    assert not list((tmp_path / "tree" / "deep").iterdir())


def test_no_key_is_overwritten(tmp_path):
    make_key(tmp_path / "site.pem")
    before = (tmp_path / "site.pem").read_bytes()
    with pytest.raises(ModelError, match="not overwritten"):
        make_key(tmp_path / "site.pem")
    assert (tmp_path / "site.pem").read_bytes() == before


def test_a_locked_key_signs_with_its_passphrase_only(tmp_path):
    make_key(tmp_path / "site.pem", "open sesame")
    folder = make_model(tmp_path)
    with pytest.raises(ModelError, match="another passphrase"):
        sign_folder(folder, tmp_path / "site.pem", lambda: "open barley")
    name, trusted = sign_folder(folder, tmp_path / "site.pem", lambda: "open sesame")
    assert not trusted
    (tmp_path / "site.pem").unlink()  # the public one is left beside where it was
    assert load_model(folder, keys=[tmp_path]).signed_by == name


def test_a_damaged_folder_is_not_signed(tmp_path):
    make_key(tmp_path / "site.pem")
    folder = make_model(tmp_path)
    (folder / "vectors.npz").write_bytes(b"other")
    with pytest.raises(ModelError, match="altered"):
        sign_folder(folder, tmp_path / "site.pem", nobody)
    assert not (folder / "signature.toml").exists()


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_what_is_no_key_is_told(tmp_path, content):
    path = tmp_path / "site.pem"
    if content is None:
        other = generate_private_key(SECP256R1())
        content = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(content)
    with pytest.raises(ModelError, match="key"):
        sign_folder(make_model(tmp_path), path, nobody)


def test_the_commands_say_what_to_type_next(tmp_path):
    made = CliRunner().invoke(app, ["keygen", str(tmp_path / "site.pem")])
    assert made.exit_code == 0
    assert "site.public.pem" in made.output
    signed = CliRunner().invoke(app, ["sign", str(make_model(tmp_path)), "--key", str(tmp_path / "site.pem")])
    assert signed.exit_code == 0
    assert "not trusted here: cp " in signed.output
    lost = CliRunner().invoke(app, ["sign", str(tmp_path / "tiny"), "--key", str(tmp_path / "none.pem")])
    assert lost.exit_code == 1
    assert "scanside-build keygen" in lost.output

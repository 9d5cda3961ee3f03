"""Keys and signatures of model folders: whoever holds the private key vouches for the weights.

The maintainers' private key never lies in a repository: `keygen` refuses to write one there. The public half is what is
committed, into engines/zoo/keys, or what a site puts into its own configuration.
"""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from engines.errors import ModelError
from engines.model import CARD, load_model
from engines.signing import SIGNATURE, encode_signature, fingerprint, key_folders, signed_part, trusted_keys

__all__ = ["make_key", "sign_folder"]

Ask = Callable[[], str]


def make_key(path: Path, passphrase: str = "") -> tuple[str, Path]:
    """Write a new private key, readable by its owner only, and NAME.public.pem beside it; gives its fingerprint.

    Raises ModelError inside a git work tree, and where a file would be overwritten.
    """
    folder = path.resolve().parent
    tree = next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)
    if tree is not None:
        raise ModelError(f"{path}: lies in the git work tree {tree}; wanted a place that is never committed")
    public = path.with_name(f"{path.stem}.public.pem")
    taken = [str(file) for file in (path, public) if file.exists()]
    if taken:
        raise ModelError(f"{taken[0]}: exists; a private key is not overwritten, choose another name")
    key = Ed25519PrivateKey.generate()
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from error
    return fingerprint(key.public_key()), public


def sign_folder(folder: Path, key_file: Path, ask: Ask) -> tuple[str, bool]:
    """Check a model folder and sign its card; gives the key's fingerprint, and whether it is trusted here.

    Raises ModelError where the folder is not whole, or the key cannot be read; `ask` is asked for a passphrase.
    """
    key = _load(key_file, ask)
    load_model(folder, allow_unsigned=True)
    name = fingerprint(key.public_key())
    text = encode_signature(name, key.sign(signed_part((folder / CARD).read_bytes())))
    part = folder / f".{SIGNATURE}.part"
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(folder / SIGNATURE)
    except OSError as error:
        raise ModelError(f"{folder / SIGNATURE}: cannot be written: {error.strerror}") from error
    return name, name in trusted_keys(key_folders())


def _load(path: Path, ask: Ask) -> Ed25519PrivateKey:
    try:
        content = path.read_bytes()
        try:
            key = load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(content, ask().encode())
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; make a key with: scanside-build keygen FILE") from error
    except ValueError as error:
        raise ModelError(f"{path}: not a private key, or another passphrase: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ModelError(
            f"{path}: got a key of another kind, wanted Ed25519; make one with: scanside-build keygen FILE"
        )
    return key

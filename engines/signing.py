"""Who vouches for a model folder: an Ed25519 signature of its card, which names the SHA-256 of every other file.

RFC 8032, through the `cryptography` library. Public keys that are trusted lie as PEM files in engines/zoo/keys (the
maintainers', shipped) and in the folder of the user's own configuration; the private ones lie with their owners.
"""

import base64
import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["SIGNATURE", "encode_signature", "fingerprint", "key_folders", "signed_part", "signer", "trusted_keys"]

SIGNATURE = "signature.toml"
_PURPOSE = b"scanside model card 1\n"


def signed_part(card: bytes) -> bytes:
    """What is signed: the purpose, so that no other signature of the same key fits here, and the card's SHA-256."""
    return _PURPOSE + hashlib.sha256(card).digest()


def key_folders() -> tuple[Path, ...]:
    """Where public keys are looked for: shipped ones, then the user's."""
    from platformdirs import user_config_path

    return Path(__file__).parent / "zoo" / "keys", user_config_path("scanside") / "keys"


def fingerprint(key: "Ed25519PublicKey") -> str:
    """Sixteen hexadecimal digits that name a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def trusted_keys(folders: Iterable[Path] | None = None) -> Mapping[str, "Ed25519PublicKey"]:
    """Trusted public keys by their fingerprints; raises ModelError for a file NAME.pem that is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = {}
    for folder in key_folders() if folders is None else folders:
        for path in sorted(folder.glob("*.pem")):
            try:
                key = load_pem_public_key(path.read_bytes())
            except (OSError, ValueError, UnsupportedAlgorithm) as error:
                raise ModelError(f"{path}: not a public key: {error}; remove it or put a PEM file there") from error
            if not isinstance(key, Ed25519PublicKey):
                raise ModelError(f"{path}: got a public key of another kind, wanted Ed25519; make one with: "
                                 "scanside-build keygen")  # fmt: skip
            found[fingerprint(key)] = key
    return found


def signer(folder: Path, card: bytes, folders: Iterable[Path] | None = None) -> str:
    """Fingerprint of the trusted key that signed this card; raises ModelError where none did, or the card changed."""
    from cryptography.exceptions import InvalidSignature

    path = folder / SIGNATURE
    name, signature = _read(path)
    keys = trusted_keys(folders)
    if name not in keys:
        known = ", ".join(keys) or "none"
        raise ModelError(
            f"{path}: signed with the key {name}, which is not trusted here (trusted: {known}); put its public key "
            f"into {key_folders()[1]}, or start with --allow-unsigned"
        )
    try:
        keys[name].verify(signature, signed_part(card))
    except InvalidSignature:
        raise ModelError(
            f"{folder}: the card was changed after it was signed; fetch the model again, or sign it yourself with: "
            f"scanside-build sign {folder} --key FILE"
        ) from None
    return name


def _read(path: Path) -> tuple[str, bytes]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return str(table["key"]), base64.b64decode(str(table["signature"]), validate=True)
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent}: the model is not signed; sign it with: scanside-build sign {path.parent} --key FILE, "
            "or start with --allow-unsigned"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: not a signature ({error!r}); sign it again with: scanside-build sign") from error


def encode_signature(name: str, signature: bytes) -> str:
    """Text of signature.toml: fingerprint of the key, and what it made of `signed_part`."""
    return (
        f'# Ed25519 signature of card.toml, which names the SHA-256 of every other file.\nkey = "{name}"\n'
        f'signature = "{base64.b64encode(signature).decode()}"\n'
    )

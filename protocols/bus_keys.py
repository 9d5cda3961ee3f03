"""Who may be on the bus: nobody else on this machine's loopback, and CURVE keys on any other network."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

__all__ = ["BusError", "admit", "is_private", "join", "make_keys"]

_PRIVATE = re.compile(r"(ipc|inproc)://|tcp://(127(\.\d{1,3}){3}|localhost|\[::1\]):")


class BusError(Exception):
    """The bus cannot be used like this; the message says what to change."""


def is_private(address: str) -> bool:
    """Whether only programs on this machine can reach an address."""
    return _PRIVATE.match(address) is not None


def make_keys(folder: Path) -> dict[str, Path]:
    """Make CURVE keys for one server and one client; raises BusError rather than replace keys that exist.

    The server needs server.key_secret and the folder clients/ of those it admits; a client needs client.key_secret
    and server.key.
    """
    taken = [name for name in ("server.key_secret", "client.key_secret") if (folder / name).exists()]
    if taken:
        raise BusError(f"{folder / taken[0]} exists already; choose another folder or remove it first")
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    for name in ("server", "client"):
        public, secret = (Path(path) for path in zmq.auth.create_certificates(folder, name))
        secret.chmod(0o600)
        made |= {f"{name} public": public, f"{name} secret": secret}
    admitted = folder / "clients" / "client.key"
    admitted.write_bytes(made["client public"].read_bytes())
    return made | {"admitted client": admitted}


def _certificate(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise BusError(f"no bus key in {path}: {error}. Make keys with: scanside keys {path.parent}") from error


def _secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _certificate(path)
    if secret is None:
        raise BusError(f"{path} holds no secret key. Make keys with: scanside keys {path.parent}")
    return public, secret


def _demand(address: str, keys: Path | None) -> None:
    if keys is None and not is_private(address):
        raise BusError(
            f"bus {address} can be reached from other machines, so it needs CURVE keys. "
            "Make them with: scanside keys DIR, then start with: --bus-keys DIR; or use tcp://127.0.0.1:*"
        )


@contextmanager
def admit(context: zmq.Context[Any], address: str, keys: Path | None) -> Iterator[dict[int, Any]]:
    """Options of a socket that binds; while the block lasts only clients in keys/clients are let in."""
    _demand(address, keys)
    if keys is None:
        yield {}
        return
    public, secret = _secret(keys / "server.key_secret")
    clients = keys / "clients"
    if not any(clients.glob("*.key")):
        raise BusError(f"no client is admitted: {clients} holds no *.key. Make keys with: scanside keys {keys}")
    guard = ThreadAuthenticator(context)
    guard.start()
    try:
        guard.configure_curve(domain="*", location=clients)
        yield {zmq.CURVE_SERVER: 1, zmq.CURVE_PUBLICKEY: public, zmq.CURVE_SECRETKEY: secret}
    finally:
        guard.stop()


def join(address: str, keys: Path | None) -> dict[int, Any]:
    """Options of a socket that connects."""
    _demand(address, keys)
    if keys is None:
        return {}
    public, secret = _secret(keys / "client.key_secret")
    server, _ = _certificate(keys / "server.key")
    return {zmq.CURVE_SERVERKEY: server, zmq.CURVE_PUBLICKEY: public, zmq.CURVE_SECRETKEY: secret}

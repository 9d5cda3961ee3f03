"""A scanner in a few lines: a real socket to a real server, and everything that comes back."""

import socket

import numpy as np

from protocols.encode import encode
from protocols.errors import PeerError
from protocols.header import write_header
from protocols.messages import Close, Config, Header, Readouts
from protocols.mrd import AcqFlag, flag_mask
from protocols.wire import Receiver, receive
from tests.making import headers, scan

SIZE = 32
COILS = 4
PATIENCE_S = 60.0  # a server that says nothing for so long hangs


def phantom(coils=COILS, size=SIZE):
    """Coil images (coil, y, x) of a disc and a box with smooth sensitivities."""
    y, x = np.mgrid[:size, :size] - size // 2
    disc = (x**2 + y**2 < (0.4 * size) ** 2) * 1.0 + ((abs(x - 4) < 3) & (abs(y + 5) < 2)) * 1.0
    angles = 2 * np.pi * np.arange(coils) / coils
    maps = [np.exp(-((x / size - 0.5 * np.cos(a)) ** 2 + (y / size - 0.5 * np.sin(a)) ** 2) + 1j * a) for a in angles]
    return (np.array(maps) * disc).astype(np.complex64)


def raw(steps=range(SIZE), coils=COILS, size=SIZE, noise=0.02, seed=0, **counters):
    """Readouts of the phantom at some encode steps, the last one flagged LAST_IN_SLICE and LAST_IN_MEASUREMENT."""
    steps = list(steps)
    axes = (1, 2)
    image = np.fft.ifftshift(phantom(coils, size), axes)
    kspace = np.fft.fftshift(np.fft.fft2(image, axes=axes, norm="ortho"), axes)
    random = np.random.default_rng(seed)
    kspace = kspace + noise * (random.standard_normal(kspace.shape) + 1j * random.standard_normal(kspace.shape))
    data = np.ascontiguousarray(kspace.transpose(1, 0, 2)[np.array(steps) % size], np.complex64)
    made = headers(steps, [], coils, size, **counters)
    made["flags"][-1] |= flag_mask(AcqFlag.LAST_IN_SLICE, AcqFlag.LAST_IN_MEASUREMENT)
    return Readouts(made, np.zeros((len(steps), size, 0), np.float32), data)


def small_scan(**more):
    """The header's side of `raw`."""
    return scan(**{"lines": SIZE, "samples": SIZE, **more})


def opening(config="cartesian", of=None):
    """CONFIG_FILE and HEADER."""
    return [Config(config, is_name=True), Header(write_header(of or small_scan()))]


def whole(config="cartesian"):
    """A small scan from CONFIG to CLOSE."""
    return [*opening(config), raw(), Close()]


def wire(messages):
    """The bytes of messages; bytes pass."""
    return b"".join(m if isinstance(m, bytes) else b"".join(map(bytes, encode(m))) for m in messages)


def talk(port, messages, *, leave=False):
    """Send messages (or bytes) to a server and read until it closes; `leave`: close the socket at once instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(wire(messages))
        if leave:
            return []
        sock.shutdown(socket.SHUT_WR)
        got = []
        try:
            got.extend(receive(sock.recv_into, Receiver()))
        except PeerError as error:
            got.append(error)
        return got

"""A real TCP peer that keeps all it gets and answers each frame with an image, and small scans to send to it."""

import socket
import threading

import numpy as np
import pytest

from hw_sim.coils import head_array
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.scanner import Scanner
from protocols.encode import encode
from protocols.errors import PeerError
from protocols.messages import Close, Image, Readouts, Text
from protocols.mrd import FRAME_COUNTERS, IMAGE, AcqFlag, has_flag
from protocols.simulate import Simulate
from protocols.wire import Receiver, receive


class Peer:
    """Serves one client, or `clients` one after another; how it behaves is set before the first one comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept = []
        self.headers, self.samples = [], []
        self.clients = 1
        self.closes = True
        self.answers = True
        self.says = []  # when the first readouts have come
        self.left = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            while self.clients:
                self.serve_one(self.listener.accept()[0])
                self.clients -= 1
        except OSError:  # it was stopped
            return

    def serve_one(self, sock):
        with sock:
            try:
                for message in receive(sock.recv_into, Receiver()):
                    self.take(message, sock)
            except (PeerError, ConnectionError) as problem:  # the client may leave before it is told everything
                self.kept.append(problem)
            self.left.set()

    def take(self, message, sock):
        if isinstance(message, Readouts):
            self.headers.append(message.headers.copy())
            self.samples.append(message.samples.copy())
            while self.says:
                sock.sendall(b"".join(encode(self.says.pop(0))))
            for n in np.flatnonzero(has_flag(message.headers["flags"], AcqFlag.LAST_IN_SLICE)):
                if self.answers:
                    sock.sendall(b"".join(encode(picture(message.headers[n]))))
            return
        self.kept.append(message)
        if isinstance(message, Close) and self.closes:
            sock.sendall(b"".join(encode(Text("INF that was all"))) + b"".join(encode(Close())))
        elif isinstance(message, Close):
            sock.recv(1)  # say nothing until the client has gone

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake whoever waits for a client
        self.listener.close()
        self.thread.join(5)


def picture(head):
    image = np.zeros((), IMAGE)
    image["version"] = 1
    image["field_of_view"] = 100
    image["image_series_index"] = 1
    image["image_type"] = 1
    for name in FRAME_COUNTERS:
        image[name] = head["idx"][name]
    for name in ("position", "read_dir", "phase_dir", "slice_dir"):
        image[name] = head[name]
    pixels = np.arange(64, dtype=np.uint16).reshape(1, 1, 8, 8)
    return Image(image[()], pixels, {"WindowCenter": "30", "WindowWidth": "60"})


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.stop()


def small(**changes):
    given = {"matrix": (32, 32), "fov_mm": (230.0, 230.0), "tr_ms": 3.0, "snr": None, "noise_readouts": 4, "te_ms": 1.0}
    return Simulate(**(given | changes))


@pytest.fixture(scope="session")
def simulate():
    return small


@pytest.fixture(scope="session")
def prepared():
    """Prepare a small scan of the phantom."""
    coils = head_array(8)

    def make(**changes):
        return Scanner(ASYMMETRIC, coils).prepare(small(**changes), Order("test"))

    return make

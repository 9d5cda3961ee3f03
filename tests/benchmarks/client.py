"""A scanner's end of a connection that costs little: bytes made before, one thread to send, one to receive."""

import socket
import threading
import time
from contextlib import contextmanager

from protocols.encode import encode
from protocols.messages import Close, Feedback, Image, Text
from protocols.prescription import NAME
from protocols.wire import Receiver, receive

SILENCE_S = 30.0


class Client:
    """Sends records and notes the moment (perf_counter_ns) when each repetition's image was complete."""

    def __init__(self, sock, keep):
        self.arrived_ns = {}
        self.prescribed_ns = None  # the last prescription of a scout
        self.texts = []
        self.images = {}  # those of the repetitions to keep
        self._keep = frozenset(keep)
        self._socket = sock
        self._now_ns = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def send(self, data):
        self._socket.sendall(data)

    def finish(self):
        """Say CLOSE, wait for the plugin's own; raises RuntimeError where the plugin has complained."""
        self.send(b"".join(encode(Close())))
        self._thread.join(SILENCE_S)
        errors = [text for text in self.texts if text.startswith("ERR")]
        if errors or self._thread.is_alive():
            raise RuntimeError(f"the plugin did not finish: {errors or 'no CLOSE'}; {len(self.arrived_ns)} images came")

    def _recv_into(self, space):
        count = self._socket.recv_into(space)
        self._now_ns = time.perf_counter_ns()
        return count

    def _listen(self):
        for message in receive(self._recv_into, Receiver()):
            if isinstance(message, Image):
                repetition = int(message.header["repetition"])
                self.arrived_ns[repetition] = self._now_ns
                if repetition in self._keep:
                    self.images[repetition] = message
            elif isinstance(message, Feedback) and message.name == NAME:
                self.prescribed_ns = self._now_ns
            elif isinstance(message, Text):
                self.texts.append(message.text)


@contextmanager
def connected(port, keep=()):
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Client(sock, keep)

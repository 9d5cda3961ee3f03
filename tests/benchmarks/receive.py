"""What it costs to receive: ours, a bare recv_into loop, and gadgetron-python, over loopback TCP in one run."""

import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from protocols import mrd
from protocols.encode import encode
from protocols.header import write_header
from protocols.messages import Close, Config, Header, Readouts
from protocols.scan import Encoding, Scan
from protocols.wire import Receiver, receive

SAMPLES = 256
BATCH = 250  # readouts that the sender repeats
TIMES = 9
ROOT = Path(__file__).parents[2]


class Cost(NamedTuple):
    """Per acquisition."""

    cpu_us: float
    wall_us: float


def opening():
    """CONFIG_TEXT and HEADER, which gadgetron-python wants to see first."""
    space = (SAMPLES, SAMPLES, 1), (256.0, 256.0, 5.0)
    xml = write_header(Scan((Encoding("cartesian", *space, *space, {}),)))
    return b"".join(map(bytes, (*encode(Config("<configuration/>", is_name=False)), *encode(Header(xml)))))


def readouts(coils):
    headers = np.zeros(BATCH, mrd.ACQUISITION)
    headers["scan_counter"] = np.arange(BATCH)
    samples = np.random.default_rng(0).standard_normal((BATCH, coils, SAMPLES)).astype(np.complex64)
    return Readouts(headers, np.zeros((BATCH, SAMPLES, 0), np.float32), samples)


def send(port, coils, count):
    """The other process: everything as fast as the socket takes it."""
    data = bytes(encode(readouts(coils))[0])
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(opening())
        for _ in range(count // BATCH):
            sock.sendall(data)
        sock.sendall(bytes(encode(Close())[0]))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)


@contextmanager
def sender(coils, count):
    """A connected socket at the other end of which `send` runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = (listener.getsockname()[1], coils, count)
        command = [sys.executable, "-m", "tests.benchmarks.receive", *map(str, arguments)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            sock, _ = listener.accept()
            with sock:
                yield sock
            process.wait(timeout=30)


def with_scanside(sock):
    return sum(len(m.headers) for m in receive(sock.recv_into, Receiver()) if isinstance(m, Readouts))


def with_recv_into(sock):
    """The floor: the same bytes into one buffer, and nobody looks at them."""
    room = memoryview(bytearray(1 << 20))
    while sock.recv_into(room):
        pass


def with_gadgetron(sock):
    from gadgetron.external.connection import Connection

    return sum(1 for _ in Connection(sock))


def cost(how, coils, count):
    with sender(coils, count) as sock:
        sock.recv(1, socket.MSG_PEEK)
        cpu, wall = time.process_time(), time.perf_counter()
        found = how(sock)
        taken = Cost((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)
    if found not in {None, count}:
        raise AssertionError(f"{how.__name__}: {found} of {count} acquisitions came")
    return taken


def compare(coils, count, *ways):
    """Costs of several runs of each way (run, way), taken in turns so that a busy machine is fair to all."""
    for how in ways:
        cost(how, coils, BATCH)
    return np.array([[cost(how, coils, count) for how in ways] for _ in range(TIMES)])


def against(ours, peers, peer):
    """Medians, and the median of the ratios of runs that stood side by side: above 1 where the peer needs more."""
    ratio = float(np.median(peers / ours))
    return {"value": median(ours), "unit": "us", "peer": peer, "peer_value": median(peers), "ratio": ratio}


def run() -> dict[str, dict[str, object]]:
    """CPU time per acquisition and throughput; a bare loop's ratio of 1 cannot be reached."""
    warnings.simplefilter("ignore")  # gadgetron-python's
    few = compare(8, 10_000, with_scanside, with_recv_into, with_gadgetron)
    many = compare(32, 10_000, with_scanside, with_recv_into)
    loop, gadgetron = "bare recv_into loop", "gadgetron.external.Connection"
    wall = against(few[:, 0, 1], few[:, 1, 1], loop)
    rates = {"value": 1e6 / wall["value"], "unit": "1/s", "peer_value": 1e6 / wall["peer_value"]}
    return {
        "receive_cpu_us_8x256": against(few[:, 0, 0], few[:, 1, 0], loop),
        "receive_cpu_us_32x256": against(many[:, 0, 0], many[:, 1, 0], loop),
        "receive_vs_gadgetron_8x256": against(few[:, 0, 0], few[:, 2, 0], gadgetron),
        "receive_throughput_vs_recv": wall | rates,
    }


if __name__ == "__main__":
    send(*map(int, sys.argv[1:]))

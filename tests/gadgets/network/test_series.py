"""The network and the frames of a series: in order, with one inverse, begun before the last lines are there."""

import socket
import threading

import pytest

from engines.errors import EngineError
from engines.unrolled import run
from protocols.messages import Close, Image, Text
from protocols.wire import Receiver, receive
from tests.gadgets.network.making import NOISE, frame, images, opening
from tests.peer import PATIENCE_S, wire

OUTER = 3  # lines at the end of a frame that lie far from the centre
A_LITTLE_S = 0.3


def test_all_frames_of_a_series_come_in_order_and_the_inverse_is_made_once(site):
    made = images(site().scan(*(frame(n, last=n == 3) for n in range(4))))
    assert [int(image.header["repetition"]) for image in made] == [0, 1, 2, 3]
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}


def piecemeal(site, frames, begun, enough=lambda _: False):
    """Images of frames whose last lines come when the network has begun, each after the image before, until enough."""
    made = []
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=PATIENCE_S) as sock:
        sock.sendall(wire(opening(site.text)))
        coming = receive(sock.recv_into, Receiver())
        for one in frames:
            sock.sendall(wire([one.part(slice(0, -OUTER)), Text("{}")]))
            begun.acquire(timeout=A_LITTLE_S)  # it does not begin while there is no frame before, or no inverse
            sock.sendall(wire([one.part(slice(-OUTER, None))]))
            made.append(next(message for message in coming if isinstance(message, Image)))
            if enough(made[-1]):
                break
        sock.sendall(wire([Close()]))
        list(coming)
    return made


def endless(change=0.0):
    """Frames of a series; `change` is added to the last lines, more from frame to frame."""
    for number in range(100):
        one = frame(number, last=False)
        one.samples[-OUTER:] += number * change
        yield one


@pytest.fixture
def begun_early(monkeypatch):
    """Released whenever a network has begun early, or tried to."""
    begun, real = Begun(), run.draw_early

    def noting(*given):
        begun.release()
        if begun.fails:
            raise EngineError("broken for once")
        return real(*given)

    monkeypatch.setattr(run, "draw_early", noting)
    return begun


class Begun(threading.Semaphore):
    """How often a network has begun early, and whether that fails."""

    def __init__(self):
        super().__init__(0)
        self.times, self.fails = 0, False

    def release(self):
        self.times += 1
        super().release()


def test_of_a_series_the_network_has_begun_before_the_last_lines_are_there(site, begun_early):
    seen = piecemeal(
        site(early=OUTER), endless(), begun_early, lambda image: image.meta["Scanside.BorrowedLines"] == str(OUTER)
    )
    assert seen[0].meta["Scanside.BorrowedLines"] == "0"
    assert seen[-1].meta["Scanside.BorrowedLines"] == str(OUTER)
    assert seen[-1].meta["Scanside.Engine"] == "network"


def test_it_begins_again_where_the_last_lines_have_changed(site, begun_early):
    made = piecemeal(site(early=OUTER), endless(change=40 * NOISE), begun_early, lambda _: begun_early.times == 2)
    assert begun_early.times == 2
    assert {image.meta["Scanside.BorrowedLines"] for image in made} == {"0"}
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}


def test_an_early_image_that_fails_costs_nothing(site, begun_early):
    begun_early.fails = True
    made = piecemeal(site(early=OUTER), endless(), begun_early, lambda _: begun_early.times == 2)
    assert begun_early.times == 2
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}

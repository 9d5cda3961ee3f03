"""The network in the chain, through a real server: its image when it is good and in time, else the linear one."""

import socket
import sys
import threading

import numpy as np
import pytest

import gadgets.lend
from protocols.bus import Subscriber
from protocols.encode import encode
from protocols.events import Flag
from protocols.messages import Close, Image, Text
from protocols.wire import Receiver, receive
from tests.gadgets.network.making import STEPS, frame, images, opening, pixels, warnings
from tests.peer import PATIENCE_S, talk, wire


def test_the_networks_image_takes_the_linear_ones_place_and_tells_its_story(site):
    (image,) = images(site().scan())
    story = {key.removeprefix("Scanside."): value for key, value in image.meta.items() if key.startswith("Scanside.")}
    assert story["Engine"] == "network"
    assert (story["Model"], story["ModelVersion"], story["Acceleration"]) == ("tiny", "1.0", "4")
    assert len(story["ModelHash"]) == 12
    assert story["ModelSignedBy"] == "unsigned"
    assert story["Backend"].split()[0] == "onnxruntime"
    assert story["BackendsPassed"] == "none"
    assert story["LinearEngine"].startswith("columns")
    assert story["Consistency"] in ("columns", "iteration")
    assert 0 < float(story["ErrorMedian"]) < float(story["Error95"])
    assert 0.5 < float(story["Trust"]) < 100
    assert story["WithheldLines"] == "2"
    assert 0 < float(story["LinearDifference"]) < 1
    assert "PASS trust" in image.meta["Scanside.Flags"]
    assert image.header["image_series_index"] == 1


def test_the_image_says_which_backends_were_passed_over_and_why(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    here = site()
    backends = ("openvino", "onnxruntime")
    here.server.lender.borrow(str(here.model), backends).wait(PATIENCE_S)
    text = here.text.replace('backends = ["onnxruntime"]', 'backends = ["openvino", "onnxruntime"]')
    (image,) = images(talk(here.server.port, [*opening(text), frame(), Close()]))
    assert image.meta["Scanside.Backend"].startswith("onnxruntime")
    assert image.meta["Scanside.BackendsPassed"].startswith("openvino: ")
    assert "not installed" in image.meta["Scanside.BackendsPassed"]


def test_both_images_come_the_linear_one_first_in_two_series_of_one_scale(site):
    linear, network = images(site(emit="both", parameters='trust = "off"').scan())
    assert linear.meta["Scanside.Engine"].startswith("columns")
    assert network.meta["Scanside.Engine"] == "network"
    assert [int(image.header["image_series_index"]) for image in (linear, network)] == [1, 2]
    assert linear.meta["Scanside.Scale"] == network.meta["Scanside.Scale"]
    assert network.meta["SeriesDescriptionAdditional"] == "Scanside network"
    assert network.meta["Scanside.Trust"] == "off"
    likeness = np.corrcoef(pixels(linear).ravel(), pixels(network).ravel())[0, 1]
    assert likeness > 0.97


def test_a_network_image_in_doubt_is_followed_by_its_linear_one(site):
    here = site()
    got = talk(here.server.port, [*opening(here.text.replace("value = 100", "value = 0.1")), frame(), Close()])
    network, linear = images(got)
    assert network.meta["Scanside.Engine"] == "network"
    assert "WARN trust" in network.meta["Scanside.Flags"]
    assert linear.meta["Scanside.Engine"].startswith("columns")
    assert linear.meta["SeriesDescriptionAdditional"] == "Scanside linear"
    assert linear.meta["Scanside.Scale"] == network.meta["Scanside.Scale"]
    assert warnings(got).count("trust") == 1


def test_the_error_map_comes_when_it_is_asked_for(site):
    network, error = images(site(parameters="error_map = true").scan())
    assert error.meta["SeriesDescriptionAdditional"] == "Scanside error map"
    assert error.header["repetition"] == network.header["repetition"]
    assert (pixels(error) >= 0).all()


@pytest.mark.parametrize("emit", ["network", "both"])
@pytest.mark.parametrize(
    ("flaw", "code", "word"),
    [
        ("nan", "network_failed", "not finite"),
        ("error", "network_failed", "onnxruntime"),
        ("self-test", "network_unusable", "self-test"),
    ],
)
def test_whatever_fails_the_linear_image_goes_out_with_the_reason_and_the_server_serves_on(
    site, flaw, code, word, emit
):
    here = site(flaw, emit=emit)
    for _ in range(2):
        got = here.scan()
        (image,) = images(got)
        assert image.meta["Scanside.Engine"].startswith("columns")
        assert np.isfinite(image.pixels).all()
        assert code in warnings(got)
        assert any(code in m.text and word in m.text for m in got if isinstance(m, Text))


@pytest.mark.parametrize(
    ("card", "word"),
    [({"acceleration": [5, 8]}, "R 4, made for 5 to 8"), ({"snr": [1, 2]}, "SNR"), ({"coils": [9, 9]}, "coils 8")],
)
def test_a_frame_outside_the_cards_range_is_not_shown_to_the_network(site, card, word):
    got = site(card=card).scan()
    (image,) = images(got)
    assert image.meta["Scanside.Engine"].startswith("columns")
    assert image.meta["Scanside.Network"] == "outside_range"
    assert any("outside_range" in m.text and word in m.text for m in got if isinstance(m, Text))


def test_without_a_noise_scan_nothing_is_in_the_networks_units(site):
    here = site()
    got = talk(here.server.port, [*opening(here.text)[:2], frame(), Close()])
    (image,) = images(got)
    assert image.meta["Scanside.Network"] == "outside_range"


def test_an_unsigned_network_is_refused_unless_it_is_allowed(site):
    got = site(allow_unsigned=False).scan()
    (image,) = images(got)
    assert image.meta["Scanside.Network"] == "network_unusable"
    assert any("--allow-unsigned" in m.text for m in got if isinstance(m, Text))


def test_a_protocol_that_wants_no_other_image_is_refused_without_its_network(site):
    got = site(allow_unsigned=False, on_unusable="refuse").scan()
    assert not images(got)
    assert any(m.text.startswith("ERR") and "engines.models.network" in m.text for m in got if isinstance(m, Text))


def test_without_cascades_the_first_frame_is_linear_or_already_has_its_inverse(site):
    got = site(cascades=False).scan()
    (image,) = images(got)
    assert image.meta.get("Scanside.Consistency") == "columns" or "network_failed" in warnings(got)


@pytest.fixture
def held(monkeypatch):
    """Hold every engine back until told."""
    let = threading.Event()
    run = gadgets.lend.Loan.run

    def waiting(self, engine, tensors):
        assert let.wait(PATIENCE_S)
        return run(self, engine, tensors)

    monkeypatch.setattr(gadgets.lend.Loan, "run", waiting)
    yield let
    let.set()


def test_a_late_network_image_follows_the_linear_one_that_was_in_time(site, held):
    here = site(deadline_ms=30.0)
    with socket.create_connection(("127.0.0.1", here.server.port), timeout=PATIENCE_S) as sock:
        sock.sendall(wire([*opening(here.text), frame()]))
        coming = receive(sock.recv_into, Receiver())
        linear = next(message for message in coming if isinstance(message, Image))
        held.set()
        network = next(message for message in coming if isinstance(message, Image))
        sock.sendall(b"".join(encode(Close())))
        rest = list(coming)
    assert linear.meta["Scanside.Engine"].startswith("columns")
    assert linear.meta["Scanside.Network"] == "network_late"
    assert network.meta["Scanside.Engine"] == "network"
    assert [int(image.header["image_series_index"]) for image in (linear, network)] == [1, 2]
    assert "deadline_missed" in warnings(rest)


def test_a_peer_that_leaves_while_the_network_works_leaves_nothing_behind(site, held):
    here = site()
    talk(here.server.port, [*opening(here.text), frame(last=False), frame(1)], leave=True)
    held.set()
    assert here.server.wait_for_clients(0, PATIENCE_S)
    assert not {t.name for t in threading.enumerate() if t.name.startswith("network")}
    assert len(images(here.scan())) == 1


def test_lines_without_an_inverse_are_bridged(site):
    """A line is lost: the frame's lines are not those that the inverse was made for."""
    lost = [step for step in STEPS if step != STEPS[3]]
    made = images(site(parameters='trust = "off"').scan(frame(0, last=False), frame(1, steps=lost)))
    assert [image.meta["Scanside.Engine"] for image in made] == ["network", "network"]
    assert made[1].meta["Scanside.Consistency"] == "iteration"


def test_the_choice_of_engine_is_told_on_the_bus_and_in_the_servers_health(site):
    here = site()
    with Subscriber(here.server.bus_address, ["flag"]) as bus:
        assert here.server.publisher.wait_for_subscriptions(1)
        here.scan()
        flags = {}
        while not {"engine", "trust", "trust_vs_linear", "linear_difference"} <= flags.keys():
            event = bus.receive(10)
            assert isinstance(event, Flag)
            flags[event.code] = event
    assert "tiny 1.0 runs on" in flags["engine"].message
    assert flags["trust"].severity.value == "PASS"
    assert flags["trust_vs_linear"].severity.value == "UNKNOWN"
    assert len(flags["trust"].model_hash) == 64
    assert here.server.health().engines[str(here.model)].startswith("onnxruntime")


def test_connections_share_one_engine(site, monkeypatch):
    here = site()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gadgets.lend.Loan, "_open", None)  # nobody may open another one
        threads = [threading.Thread(target=here.scan) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(images(here.scan())) == 1

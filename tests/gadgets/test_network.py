"""The network in the chain, through a real server: its image when it is good and in time, else the linear one."""

import socket
import threading

import numpy as np
import pytest

import gadgets.lend
from engines.errors import EngineError
from engines.unrolled import run
from gadgets.serve import ServeOptions, running
from protocols.bus import Subscriber
from protocols.encode import encode
from protocols.events import Flag
from protocols.header import write_header
from protocols.messages import Close, Config, Header, Image, Text
from protocols.mrd import AcqFlag, flag_mask
from protocols.wire import Receiver, receive
from tests.making import readouts, scan
from tests.peer import PATIENCE_S, raw, talk, wire
from tests.tiny_model import make_model

SIZE, COILS, NOISE = 48, 8, 0.02
STEPS = sorted({*range(0, SIZE, 4), *range(SIZE // 2 - 8, SIZE // 2 + 8)})
OUTER = 3  # lines at the end of a frame that lie far from the centre
PROTOCOL = """
name = "{name}"
title = "for tests"
[chain]
order = ["whiten", "oversampling", "accumulate", "calibrate", "reconstruct", "network", "finish", "quality"]
[chain.accumulate]
early_lines = {early}
[chain.network]
{parameters}
[chain.finish]
pixels = "float32"
[engines]
emit = "{emit}"
on_unusable = "{on_unusable}"
models = {{ network = '{model}' }}
backends = ["onnxruntime"]
[limits.trust]
value = 100
direction = "max"
unit = "1"
[limits.snr]
value = 1
direction = "min"
unit = "1"
[deadlines]
network = {deadline_ms}
"""


def protocol(
    model, name="test_network", emit="network", deadline_ms=20_000.0, on_unusable="linear", parameters="", early=0
):
    return PROTOCOL.format(**locals())


def opening(text):
    of = scan(SIZE, SIZE, 4, "embedded", repetition=(0, 99))
    return [Config(text, is_name=False), Header(write_header(of)), noise()]


def noise():
    random = np.random.default_rng(5)
    data = NOISE * (random.standard_normal((8, COILS, SIZE)) + 1j * random.standard_normal((8, COILS, SIZE)))
    flags = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(8)]
    return readouts(range(8), flags, COILS, SIZE, data.astype(np.complex64))


def frame(number=0, *, last=True, steps=STEPS):
    made = raw(steps, COILS, SIZE, NOISE, seed=number, repetition=number)
    block = abs(np.array(steps) - SIZE // 2 + 0.5) < 8
    made.headers["flags"][block] |= flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
    if not last:
        made.headers["flags"][-1] &= ~np.uint64(flag_mask(AcqFlag.LAST_IN_MEASUREMENT))
    return made


class Site:
    """A server with one network that is open, and what scans of its protocol bring back."""

    def __init__(self, server, text, model):
        self.server, self.text, self.model = server, text, model

    def scan(self, *frames):
        return talk(self.server.port, [*opening(self.text), *(frames or (frame(),)), Close()])


@pytest.fixture
def site(tmp_path):
    """Make a server for a model with flaws and a protocol with changes."""
    servers = []

    def make(flaw="", card=None, allow_unsigned=True, cascades=True, **changes):
        model = make_model(tmp_path, flaw=flaw, cascades=cascades, **(card or {}))
        text = protocol(str(model), **changes)
        (tmp_path / "protocols").mkdir()
        (tmp_path / "protocols" / "test_network.toml").write_text(text, encoding="utf-8")
        context = running(
            ServeOptions(port=0, open_networks=True, allow_unsigned=allow_unsigned, protocols=(tmp_path / "protocols",))
        )
        server = context.__enter__()
        servers.append(context)
        server.lender.borrow(str(model), ("onnxruntime",)).wait(PATIENCE_S)
        return Site(server, text, model)

    yield make
    for context in servers:
        context.__exit__(None, None, None)


def images(got):
    assert isinstance(got[-1], Close)
    return [message for message in got if isinstance(message, Image)]


def warnings(got):
    return [m.text.split()[1].rstrip(":") for m in got if isinstance(m, Text) and m.text[:3] in ("WRN", "ERR")]


def pixels(image):
    return image.pixels[0, 0].astype(float)


def test_the_networks_image_takes_the_linear_ones_place_and_tells_its_story(site):
    (image,) = images(site().scan())
    story = {key.removeprefix("Scanside."): value for key, value in image.meta.items() if key.startswith("Scanside.")}
    assert story["Engine"] == "network"
    assert (story["Model"], story["ModelVersion"], story["Acceleration"]) == ("tiny", "1.0", "4")
    assert len(story["ModelHash"]) == 12
    assert story["Backend"].split()[0] == "onnxruntime"
    assert story["LinearEngine"].startswith("columns")
    assert story["Consistency"] in ("columns", "iteration")
    assert 0 < float(story["ErrorMedian"]) < float(story["Error95"])
    assert 0.5 < float(story["Trust"]) < 100
    assert story["WithheldLines"] == "2"
    assert 0 < float(story["LinearDifference"]) < 1
    assert "PASS trust" in image.meta["Scanside.Flags"]
    assert image.header["image_series_index"] == 1


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


def test_all_frames_of_a_series_come_in_order_and_the_inverse_is_made_once(site):
    made = images(site().scan(*(frame(n, last=n == 3) for n in range(4))))
    assert [int(image.header["repetition"]) for image in made] == [0, 1, 2, 3]
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}


def piecemeal(site, frames, enough=lambda _: False):
    """Images of frames whose last lines come apart, each sent when the image before is there, until it is enough."""
    made = []
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=PATIENCE_S) as sock:
        sock.sendall(wire(opening(site.text)))
        coming = receive(sock.recv_into, Receiver())
        for one in frames:
            sock.sendall(wire([one.part(slice(0, -OUTER)), Text("{}"), one.part(slice(-OUTER, None))]))
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


def test_of_a_series_the_network_has_begun_before_the_last_lines_are_there(site):
    made = piecemeal(site(early=OUTER), endless(), lambda image: image.meta["Scanside.BorrowedLines"] == str(OUTER))
    assert made[0].meta["Scanside.BorrowedLines"] == "0"
    assert made[-1].meta["Scanside.BorrowedLines"] == str(OUTER)
    assert made[-1].meta["Scanside.Engine"] == "network"


@pytest.fixture
def begun_early(monkeypatch):
    """Count what was drawn early."""
    begin, count = run.draw_early, []

    def counting(*given):
        count.append(1)
        return begin(*given)

    monkeypatch.setattr(run, "draw_early", counting)
    return count


def test_it_begins_again_where_the_last_lines_have_changed(site, begun_early):
    made = piecemeal(site(early=OUTER), endless(change=40 * NOISE), lambda _: len(begun_early) == 2)
    assert len(begun_early) == 2
    assert {image.meta["Scanside.BorrowedLines"] for image in made} == {"0"}
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}


def test_an_early_image_that_fails_costs_nothing(site, monkeypatch):
    tried = []

    def fail(*_):
        tried.append(1)
        raise EngineError("broken for once")

    monkeypatch.setattr(run, "draw_early", fail)
    made = piecemeal(site(early=OUTER), endless(), lambda _: len(tried) == 2)
    assert len(tried) == 2
    assert {image.meta["Scanside.Engine"] for image in made} == {"network"}


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


TRUSTING = """
[limits.linear_difference]
value = 0.5
direction = "max"
unit = "1"
[limits.local_difference]
value = 4.5
direction = "max"
unit = "1"
advice = "compare with the linear image"
"""


def trusting(here):
    return talk(here.server.port, [*opening(here.text + TRUSTING), frame(), Close()])


def test_the_verdict_on_an_image_stands_on_it_and_is_flagged(site):
    got = trusting(site())
    (image,) = images(got)
    assert image.meta["Scanside.TrustVerdict"] == "trusted"
    assert image.meta["Scanside.TrustReasons"] == "none"
    assert "PASS trust_verdict" in image.meta["Scanside.Flags"]
    assert "trust_verdict" not in warnings(got)


@pytest.fixture
def inventive(monkeypatch):
    """Let every network invent a bright structure of six pixels."""
    run = gadgets.lend.Loan.run

    def inventing(self, engine, tensors):
        out = {name: array.copy() for name, array in run(self, engine, tensors).items()}
        planes = out.get("image", out.get("denoised"))
        planes[:, 0, 18:24, 15:21] += 3 * np.abs(planes).max()
        return out

    monkeypatch.setattr(gadgets.lend.Loan, "run", inventing)


def test_a_structure_that_the_network_invented_makes_its_image_one_not_to_be_trusted(site, inventive):
    got = trusting(site())
    network, linear = images(got)
    assert network.meta["Scanside.TrustVerdict"] in ("doubtful", "not to be trusted")
    assert "differs from the linear one" in network.meta["Scanside.TrustReasons"]
    assert linear.meta["SeriesDescriptionAdditional"] == "Scanside linear"
    assert {"local_difference", "trust_verdict"} <= set(warnings(got))


def test_a_scan_protocol_that_limits_nothing_leaves_the_verdict_unknown(site):
    here = site()
    unlimited = here.text.replace("[limits.trust]", "[limits.gsr]")
    (image,) = images(talk(here.server.port, [*opening(unlimited), frame(), Close()]))
    assert image.meta["Scanside.TrustVerdict"] == "unknown"
    assert "UNKNOWN trust_verdict" in image.meta["Scanside.Flags"]

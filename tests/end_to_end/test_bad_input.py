"""Whatever a client does: one clear error, what came is kept, the next client is served, nothing is left behind."""

import contextlib
import re
import socket
import struct
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gadgets.serve import ServeError, ServeOptions, running
from protocols.bus import Subscriber
from protocols.encode import encode
from protocols.errors import PeerError
from protocols.events import Flag
from protocols.messages import Close, Config, Error, Feedback, Header, Image, Query, Response, Text
from protocols.mrd import AcqFlag, MessageId, flag_mask
from protocols.wire import Receiver, receive
from tests.peer import SIZE, opening, raw, small_scan, talk, whole, wire


@pytest.fixture(scope="module")
def server():
    with running(ServeOptions(port=0)) as running_server:
        yield running_server


@pytest.fixture(autouse=True)
def serves_on(request):
    """After every test the server still makes an image of a good scan."""
    yield
    if "server" in request.fixturenames:
        got = talk(request.getfixturevalue("server").port, whole())
        assert [type(m) for m in got if not isinstance(m, Text)] == [Image, Close]


def errors(got):
    return [m.text for m in got if isinstance(m, Text) and m.text.startswith("ERR")]


def images(got):
    return [m for m in got if isinstance(m, Image)]


def one_error(got, *words):
    assert isinstance(got[-1], Close)
    (text,) = errors(got)
    for word in words:
        assert word in text
    return text


def test_an_unknown_config_name_is_an_error_with_the_nearest_names_and_never_another_chain(server):
    got = talk(server.port, whole("cartesain"))
    one_error(got, "cartesain", "Did you mean", "cartesian")
    assert not images(got)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("name = [", ("CONFIG_TEXT", "not TOML")),
        ("name = 'x'\ntitle = 'y'\n[chain]\nodrer = ['whiten']", ("CONFIG_TEXT", "order")),
        ("<configuration><stream/></configuration>", ("CONFIG_TEXT", "gadgets")),
        ("<configuration", ("CONFIG_TEXT", "malformed XML")),
    ],
)
def test_a_malformed_configuration_text_is_told_where(server, config, words):
    one_error(talk(server.port, [Config(config, is_name=False), *whole()[1:]]), *words)


def test_malformed_header_xml_is_told(server):
    one_error(
        talk(server.port, [Config("cartesian", is_name=True), Header("<ismrmrdHeader><encod"), Close()]), "header"
    )


def test_a_header_without_optional_sections_makes_an_image(server):
    xml = (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions>'
        "<H1resonanceFrequency_Hz>0</H1resonanceFrequency_Hz></experimentalConditions><encoding><encodedSpace>"
        f"<matrixSize><x>{SIZE}</x><y>{SIZE}</y><z>1</z></matrixSize><fieldOfView_mm><x>256</x><y>256</y><z>5</z>"
        f"</fieldOfView_mm></encodedSpace><reconSpace><matrixSize><x>{SIZE}</x><y>{SIZE}</y><z>1</z></matrixSize>"
        "<fieldOfView_mm><x>256</x><y>256</y><z>5</z></fieldOfView_mm></reconSpace><encodingLimits/>"
        "<trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"
    )
    got = talk(server.port, [Config("cartesian", is_name=True), Header(xml), raw(), Close()])
    assert len(images(got)) == 1
    assert not errors(got)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([*opening(), *opening()], ("CONFIG_FILE", "STREAMING")),
        ([opening()[0], raw(), Close()], ("ACQUISITION", "CONFIGURED", "HEADER")),
        ([raw(), Close()], ("ACQUISITION", "CONNECTED", "CONFIG")),
        ([opening()[1]], ("HEADER", "CONNECTED")),
        ([*opening(), struct.pack("<H", 4711)], ("4711",)),
    ],
)
def test_what_may_not_follow_is_an_error_that_says_what_was_expected(server, messages, words):
    one_error(talk(server.port, messages), *words)


@pytest.mark.parametrize("flag", [AcqFlag.COMPRESSION1, AcqFlag.COMPRESSION2])
def test_compressed_samples_are_refused_and_what_came_before_becomes_an_image(server, flag):
    packed = raw([3])
    packed.headers["flags"] |= flag_mask(flag)
    got = talk(server.port, [*opening(), raw(), packed, Close()])
    one_error(got, "compress")
    assert len(images(got)) == 1


def test_samples_that_are_not_finite_are_left_out_and_told_with_their_line(server):
    bad = raw()
    bad.samples[5, 1, 7] = np.nan
    bad.samples[6, 0, 3] = np.inf
    got = talk(server.port, [*opening(), bad, Close()])
    codes = [text.split()[1].rstrip(":") for text in errors(got)]
    assert codes == ["non_finite_samples", "missing_lines"]
    assert len(images(got)) == 1
    assert np.isfinite(images(got)[0].pixels).all()


@pytest.mark.parametrize("other", [{"coils": 3}, {"size": 24}])
def test_another_coil_or_sample_count_in_mid_scan_is_told_and_what_came_becomes_an_image(server, other):
    first = raw(range(20))
    first.headers["flags"] = 0
    got = talk(server.port, [*opening(), first, raw([21], **other), raw([22]), Close()])
    assert any("scan began with 4 x 32" in text for text in errors(got))
    assert len(images(got)) == 1


def test_a_line_outside_the_limits_is_told_and_the_image_is_made_from_the_others(server):
    stray = raw([1])
    stray.headers["idx"]["kspace_encode_step_1"] = 500
    stray.headers["flags"] = 0
    got = talk(server.port, [*opening(), stray, raw(), Close()])
    assert any("encode step 500" in text for text in errors(got))
    assert len(images(got)) == 1


def test_missing_and_repeated_lines_are_told_with_their_numbers_over_the_bus(server):
    steps = [n for n in range(SIZE) if n not in (4, 9)]
    steps.insert(3, 2)
    with Subscriber(server.bus_address, ["flag"]) as bus:
        assert server.publisher.wait_for_subscriptions(1)
        got = talk(server.port, [*opening(), raw(steps), Close()])
        flags = {}
        while not {"missing_lines", "repeated_lines"} <= flags.keys():
            event = bus.receive(10)
            assert isinstance(event, Flag)
            flags[event.code] = event
    assert flags["missing_lines"].evidence["lines"] == [4, 9]
    assert flags["repeated_lines"].evidence["lines"] == [2]
    assert len(images(got)) == 1


def test_close_without_data_is_answered_with_close(server):
    assert [type(m) for m in talk(server.port, [*opening(), Close()])] == [Close]


def test_two_contrasts_become_two_series_so_that_none_mixes_images_of_two_kinds(server):
    of = small_scan(contrast=(0, 1))
    got = talk(server.port, [*opening(of=of), raw(contrast=0), raw(contrast=1), Close()])
    numbers = [int(image.header["image_series_index"]) for image in images(got)]
    assert numbers == [1, 2]


@pytest.mark.parametrize("kind", [MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT])
def test_a_length_field_of_four_gigabytes_is_refused_without_waiting_for_it(server, kind):
    before = {MessageId.CONFIG_TEXT: [], MessageId.HEADER: opening()[:1], MessageId.TEXT: opening()}[kind]
    one_error(talk(server.port, [*before, struct.pack("<HI", kind, 0xFFFFFFFF), b"x" * 64]), kind.name)


def test_a_query_is_answered_in_every_state(server):
    question = Query(7, "scanside::version")
    got = talk(server.port, [question, opening()[0], question, opening()[1], question, raw(), Close()])
    assert [m.correlation for m in got if isinstance(m, Response)] == [7, 7, 7]
    assert len(images(got)) == 1


def test_an_unsupported_trajectory_is_told_and_not_reconstructed(server):
    of = small_scan()
    epi = replace(of, encodings=(replace(of.encodings[0], trajectory="epi"),))
    for config in ("cartesian", "default"):
        got = talk(server.port, [*opening(config, epi), raw(), Close()])
        one_error(got, "not supported yet", "epi")
        assert not images(got)


WHOLE = wire([*opening(), raw(range(SIZE)), Close()])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(WHOLE) - 1))
@example(25372)  # one line beyond the centre of k-space: nothing for partial Fourier to go by
def test_a_stream_cut_anywhere_is_told_and_what_came_becomes_an_image(server, cut):
    got = talk(server.port, [WHOLE[:cut]])
    assert isinstance(got[-1], Close)
    first_line = len(wire(opening())) + (len(WHOLE) - len(wire(opening()))) // SIZE
    if cut > first_line:
        assert len(images(got)) == 1
    if cut:
        assert any("without CLOSE" in text or "ended" in text for text in errors(got))


def test_a_client_that_vanishes_in_mid_readout_frees_its_thread_and_socket(server):
    def mine():
        return {t.name for t in threading.enumerate() if t.name.startswith(("c", "ingest", "quality", "archive"))}

    for _ in range(5):
        talk(server.port, [WHOLE[: len(WHOLE) // 2]], leave=True)
    assert server.wait_for_clients(0, 20)
    assert not mine()


def test_garbage_never_hangs_or_kills_the_server(server):
    random = np.random.default_rng(3)
    for size in (1, 2, 3, 100, 5000):
        got = talk(server.port, [random.bytes(size)])
        assert isinstance(got[-1], (Close, PeerError))


def test_many_clients_side_by_side_each_get_their_own_image(server):
    results = {}

    def client(number):
        got = talk(server.port, [*opening(), raw(seed=number, repetition=number), Close()])
        results[number] = [int(image.header["repetition"]) for image in images(got)]

    threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [n] for n in range(6)}


def test_a_port_in_use_is_told_with_what_to_type(server):
    with pytest.raises(ServeError, match="--port"), running(ServeOptions(port=server.port)):
        pass


def test_stopping_a_server_ends_its_clients_and_leaves_no_thread_or_socket():
    before = set(threading.enumerate())
    files = len(list(Path("/proc/self/fd").iterdir()))
    with contextlib.ExitStack() as stack:
        with running(ServeOptions(port=0)) as server:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            sock.sendall(wire(opening()))
            part = raw(range(4))
            part.headers["flags"] = 0
            sock.sendall(b"".join(map(bytes, encode(part))))
            assert server.wait_for_clients(1, 20)
        got = list(receive(sock.recv_into, Receiver()))
    assert any("the plugin was stopped" in text for text in errors(got))
    assert len(images(got)) == 1
    assert set(threading.enumerate()) <= before
    assert len(list(Path("/proc/self/fd").iterdir())) <= files


def test_a_gadgetron_peer_gets_error_8_and_never_text(server):
    got = talk(
        server.port,
        [Config("<configuration><protocol>cartesian</protocol></configuration>", is_name=False), *whole()[1:]],
    )
    assert [type(m) for m in got] == [Image, Close]
    bad = [Config("<configuration/>", is_name=False), Header("<nonsense"), Close()]
    got = talk(server.port, bad)
    assert [type(m) for m in got] == [Error, Close]


def test_a_missed_deadline_is_told_once_at_the_end_with_how_often_and_how_much(server):
    impossible = (Path(__file__).parents[2] / "protocols" / "exams" / "cartesian.toml").read_text()
    impossible = re.sub(r"^(calibrate|reconstruct|image) = .*$", r"\1 = 0.0001", impossible, flags=re.MULTILINE)
    got = talk(server.port, [Config(impossible, is_name=False), *whole()[1:]])
    late = [m.text for m in got if isinstance(m, Text) and "deadline_missed" in m.text]
    assert [text.split()[2] for text in late] == ["image", "reconstruct"]
    assert all(text.startswith("WRN") and "1 times" in text for text in late)
    assert len(images(got)) == 1


def test_feedback_of_a_scanner_is_not_said_to_it_again(server):
    got = talk(server.port, [*opening(), Feedback("of another program", b"1"), raw(), Close()])
    assert [type(message) for message in got if not isinstance(message, Text)] == [Image, Close]

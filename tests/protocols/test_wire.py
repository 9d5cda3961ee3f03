"""The receiver: wherever the network cuts, whatever comes."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import mrd
from protocols.encode import encode
from protocols.errors import LocalError, PeerError, Vanished
from protocols.messages import Blob, Close, Config, Feedback, Image, Readouts, Text, Waveforms
from protocols.mrd import AcqFlag, MessageId, flag_mask
from protocols.wire import Receiver, receive
from tests.protocols.equal import same
from tests.protocols.strategies import anything, filled, readouts

laws = settings(max_examples=60)


def octets(*messages, **options):
    return b"".join(bytes(part) for message in messages for part in encode(message, **options))


def copied(message):
    """Readouts one by one, free of the buffer; others as they are."""
    if not isinstance(message, Readouts):
        return [message]
    parts = (message.headers.copy(), message.trajectory.copy(), message.samples.copy())
    return [Readouts(*(part[n : n + 1] for part in parts)) for n in range(len(message.headers))]


def feed(receiver, data, step=None):
    """Hand bytes over in steps; returns what came out, readouts one by one."""
    found = []
    while data:
        room = receiver.space()[:step]
        count = min(len(room), len(data))
        room[:count] = data[:count]
        receiver.filled(count)
        data = data[count:]
        for message in receiver.messages():
            found += copied(message)
    return found


def reader(data, cuts=()):
    """A recv_into that brings bytes up to each cut, then end of stream."""
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def recv_into(room):
        while pieces and not pieces[0]:
            pieces.pop(0)
        if not pieces:
            return 0
        count = min(len(room), len(pieces[0]))
        room[:count] = pieces[0][:count]
        pieces[0] = pieces[0][count:]
        return count

    return recv_into


def batch(count=3, coils=2, samples=4, flags=0, dimensions=0):
    headers = np.zeros(count, mrd.ACQUISITION)
    headers["flags"] = flags
    headers["scan_counter"] = np.arange(count)
    data = np.arange(count * coils * samples).reshape(count, coils, samples).astype(np.complex64)
    return Readouts(headers, np.zeros((count, samples, dimensions), np.float32), data)


@laws
@given(st.lists(anything, max_size=6), st.data())
def test_where_the_network_cuts_does_not_matter(sent, data):
    wire = octets(*sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    whole, cut = feed(Receiver(4096), wire), []
    receiver = Receiver(1024)
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        cut += feed(receiver, wire[begin:end])
    wanted = [one for message in sent for one in copied(message)]
    assert len(whole) == len(cut) == len(wanted)
    assert all(same(a, b) and same(a, c) for a, b, c in zip(wanted, whole, cut, strict=True))
    receiver.end()


@settings(max_examples=15)
@given(st.lists(anything, min_size=1, max_size=2))
def test_byte_by_byte_is_no_different_and_a_cut_at_every_byte_is_noticed(sent):
    wire = octets(*sent)
    bounds = {0, len(wire), *np.cumsum([len(octets(one)) for message in sent for one in copied(message)]).tolist()}
    receiver = Receiver(1024)
    found = []
    for n in range(len(wire)):
        if n in bounds:
            receiver.end()
        else:
            with pytest.raises(Vanished):
                receiver.end()
        found += feed(receiver, wire[n : n + 1])
    wanted = [one for message in sent for one in copied(message)]
    assert all(same(a, b) for a, b in zip(wanted, found, strict=True))


@laws
@given(readouts(most=40))
def test_readouts_that_have_arrived_together_come_out_as_one(sent):
    receiver = Receiver(1 << 16)
    data = octets(sent)
    receiver.space()[: len(data)] = data
    receiver.filled(len(data))
    (found,) = receiver.messages()
    assert same(found, sent)
    assert found.arrived_ns > 0


def test_a_batch_ends_where_the_layout_changes_and_at_another_message():
    data = octets(batch(3), batch(2, samples=5), Text("hello"), batch(4, coils=3), batch(1, coils=3, dimensions=2))
    receiver = Receiver(1 << 16)
    receiver.space()[: len(data)] = data
    receiver.filled(len(data))
    assert [len(m.headers) if isinstance(m, Readouts) else m for m in receiver.messages()] == [
        3,
        2,
        Text("hello"),
        4,
        1,
    ]


def test_samples_are_views_into_the_buffer_not_copies():
    receiver = Receiver()
    data = octets(batch())
    room = receiver.space()
    room[: len(data)] = data
    receiver.filled(len(data))
    (found,) = receiver.messages()
    assert np.shares_memory(found.samples, np.frombuffer(room, np.uint8))
    assert np.shares_memory(found.headers, np.frombuffer(room, np.uint8))


def test_samples_of_readouts_that_come_one_by_one_are_aligned_and_need_no_copy():
    receiver = Receiver()
    for readout in (batch().part(slice(n, n + 1)) for n in range(3)):
        data = octets(readout)
        receiver.space()[: len(data)] = data
        receiver.filled(len(data))
        (found,) = receiver.messages()
        assert found.samples.flags.aligned
        assert found.aligned() is found


def test_all_other_messages_are_copies_that_stay_when_the_buffer_is_used_again():
    image = Image(filled(mrd.IMAGE, 5)[0], np.arange(6, dtype=np.int32).reshape(1, 1, 2, 3))
    wave = Waveforms(filled(mrd.WAVEFORM, 7)[0], np.ones((2, 3), np.uint32))
    receiver = Receiver(4096)
    first, second = feed(receiver, octets(image, wave))
    feed(receiver, octets(*[Text("x" * 900)] * 20))
    assert (first.pixels == image.pixels).all()
    assert (second.samples == 1).all()


@pytest.mark.parametrize("capacity", [1024, 5000, 1 << 16])
def test_a_message_larger_than_the_buffer_makes_it_grow_and_the_next_ones_fit_again(capacity):
    big = Text("y" * 300_000)
    assert feed(Receiver(capacity), octets(Text("a"), big, Text("b"), big)) == [Text("a"), big, Text("b"), big]


def test_the_buffer_never_grows_much_ahead_of_what_has_come():
    receiver = Receiver(1024)
    claim = struct.pack("<HI", MessageId.TEXT, 900_000_000)
    feed(receiver, claim + b"x" * 5000)
    assert len(receiver.space()) < 20_000


def test_space_after_a_large_message_is_small_again_for_the_cache():
    receiver = Receiver(4096)
    feed(receiver, octets(Text("y" * 100_000)))
    assert len(receiver.space()) == 4096


def test_receive_ends_with_close_and_leaves_what_follows():
    data = octets(Text("a"), Close(), Text("b"))
    assert list(receive(reader(data), Receiver())) == [Text("a"), Close()]


@laws
@given(st.lists(anything, max_size=3), st.data())
def test_a_stream_without_close_gives_all_that_is_complete_and_then_says_the_peer_vanished(sent, data):
    sent = [message for message in sent if not isinstance(message, Close)]
    wire = octets(*sent)
    cut = data.draw(st.integers(0, len(wire)))
    stream = (one for message in receive(reader(wire[:cut]), Receiver(1024)) for one in copied(message))
    found = []
    with pytest.raises(Vanished, match=r"ended|without CLOSE"):
        found.extend(stream)
    ends = np.cumsum([len(octets(one)) for message in sent for one in copied(message)])
    assert len(found) == (ends <= cut).sum()


def test_a_cut_message_is_reported_with_its_kind_and_how_much_came():
    data = octets(batch(1))
    with pytest.raises(Vanished, match=r"inside ACQUISITION: 300 of at least 406 bytes"):
        list(receive(reader(data[:300]), Receiver()))


def test_a_connection_that_breaks_is_a_peer_that_vanished():
    def broken(room):
        raise ConnectionResetError(104, "reset by peer")

    with pytest.raises(Vanished, match="reset by peer"):
        list(receive(broken, Receiver()))


def raises(data, match, **options):
    with pytest.raises(PeerError, match=match):
        feed(Receiver(1024, **options), data)


@pytest.mark.parametrize("number", [0, 9, 999, 1007, 65535])
def test_an_unknown_id_is_named_together_with_the_known_ones(number):
    raises(struct.pack("<H", number) + bytes(50), rf"message id {number} .*1008 ACQUISITION.*1022 IMAGE")


def test_a_kind_without_a_length_is_an_error_of_its_own():
    raises(struct.pack("<H", MessageId.BUNDLE) + bytes(50), "BUNDLE came, but nothing tells its length")


@pytest.mark.parametrize("kind", [MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT])
def test_a_length_field_of_4_gb_is_refused_before_anything_is_allocated(kind):
    raises(struct.pack("<HI", kind, 0xFFFFFFFF), rf"{kind.name}: its length fields ask for 4294967301 bytes; at most")


@pytest.mark.parametrize("kind", [MessageId.ERROR, MessageId.RESPONSE, MessageId.QUERY])
def test_a_64_bit_length_field_is_refused_too(kind):
    raises(struct.pack("<H", kind) + b"\xff" * 24, f"{kind.name}: its length fields ask for 18446744073709551")


def test_an_image_whose_matrix_overflows_is_refused():
    header = np.zeros(1, mrd.IMAGE)
    header["data_type"], header["channels"], header["matrix_size"] = 8, 65535, 65535
    raises(struct.pack("<H", 1022) + header.tobytes() + bytes(8), "IMAGE: its length fields ask for 295129")


@pytest.mark.parametrize("change", [{"matrix_size": (4, 0, 1)}, {"channels": 0}])
def test_an_image_without_pixels_is_refused(change):
    header = np.zeros(1, mrd.IMAGE)
    header["data_type"], header["channels"], header["matrix_size"] = 5, 1, 4
    for name, value in change.items():
        header[name] = value
    raises(struct.pack("<H", 1022) + header.tobytes(), r"IMAGE: matrix 4 x . x . with \d channels; at least one")


def test_an_unknown_pixel_type_is_named():
    header = np.zeros(1, mrd.IMAGE)
    header["data_type"] = 9
    raises(struct.pack("<H", 1022) + header.tobytes(), "data type 9 is not known; known are 1, 2")


def test_an_acquisition_above_the_limit_is_refused():
    head = np.zeros(1, mrd.ACQUISITION)
    head["number_of_samples"] = head["active_channels"] = 65535
    raises(struct.pack("<H", 1008) + head.tobytes(), "ACQUISITION: its length fields ask for 34358690142 bytes")


@pytest.mark.parametrize("name", ["number_of_samples", "active_channels"])
def test_an_acquisition_of_nothing_is_refused(name):
    record = bytearray(octets(batch(1)))
    record[2:342] = _changed(record[2:342], name, 0)
    raises(record, "ACQUISITION: . samples of . coils; at least one of each")


@pytest.mark.parametrize("flag", [AcqFlag.COMPRESSION1, AcqFlag.COMPRESSION2])
@pytest.mark.parametrize("before", [0, 3])
def test_compressed_samples_are_refused_with_what_to_do_and_readouts_before_them_are_kept(flag, before):
    data = (octets(batch(before)) if before else b"") + octets(batch(2, flags=flag_mask(flag)))
    receiver, found = Receiver(), []
    receiver.space()[: len(data)] = data
    receiver.filled(len(data))
    with pytest.raises(PeerError, match="switch compression off at the client"):
        found += (len(message.headers) for message in receiver.messages())
    assert found == ([before] if before else [])


def _changed(head, name, value):
    record = np.frombuffer(bytes(head), mrd.ACQUISITION).copy()
    record[name] = value
    return record.tobytes()


@pytest.mark.parametrize("kind", [MessageId.CONFIG_TEXT, MessageId.HEADER, MessageId.TEXT])
def test_text_that_is_not_utf8_is_refused(kind):
    raises(struct.pack("<HI", kind, 3) + b"a\xff\xfe", rf"{kind.name}: byte 1 is not UTF-8 \(found ff fe\)")


def test_a_config_name_ends_at_its_first_nul_whatever_follows():
    assert feed(Receiver(2048), b"\x01\0" + b"simple".ljust(1024, b"\0")) == [Config("simple", is_name=True)]
    assert feed(Receiver(2048), b"\x01\0" + b"simple\0rubbish".ljust(1024, b"\1")) == [Config("simple", is_name=True)]


@laws
@given(anything)
def test_both_nul_conventions_read_the_same(message):
    plain, nul = feed(Receiver(), octets(message)), feed(Receiver(), octets(message, nul=True))
    assert all(same(a, b) for a, b in zip(plain, nul, strict=True))


def test_feedback_is_read_with_32_bit_lengths():
    wire = b"\x04\x04" + struct.pack("<I", 4) + b"abc\0" + struct.pack("<I", 2) + b"\0\1"
    assert feed(Receiver(), wire) == [Feedback("abc", b"\0\1")]


def test_dicom_is_carried_unread():
    body = struct.pack("<I", 3) + b"DCM" + struct.pack("<Q", 4) + b"name" + struct.pack("<Q", 2) + b"<>"
    (blob, text) = feed(Receiver(), struct.pack("<H", 1018) + body + octets(Text("next")))
    assert (blob.id, blob.body) == (1018, body)
    assert isinstance(blob, Blob)
    assert text == Text("next")


@pytest.mark.parametrize(("capacity", "limit"), [(10, 1 << 20), (4096, 2048), (4096, 1 << 40)])
def test_a_receiver_with_impossible_sizes_is_our_own_mistake(capacity, limit):
    with pytest.raises(LocalError, match="capacity"):
        Receiver(capacity, limit)


def test_filling_more_than_there_is_space_for_is_our_own_mistake():
    receiver = Receiver(1024)
    with pytest.raises(LocalError, match="filled"):
        receiver.filled(1025)


def test_asking_for_space_before_taking_the_messages_is_our_own_mistake():
    receiver = Receiver(1024)
    receiver.space()[:] = octets(Text("a")) + bytes(1017)
    receiver.filled(1024)
    with pytest.raises(LocalError, match="messages"):
        receiver.space()


@settings(max_examples=300)
@given(st.sampled_from(sorted(MessageId)), st.binary(max_size=600), st.integers(0, 8))
def test_rubbish_is_read_or_refused_and_nothing_else_happens(kind, body, ones):
    receiver = Receiver(1024)
    try:
        feed(receiver, struct.pack("<H", kind) + b"\xff" * ones + body)
        receiver.end()
    except PeerError as error:
        assert len(str(error)) > 20  # noqa: PT017


@laws
@given(st.lists(anything, min_size=1, max_size=3), st.data())
def test_one_wrong_byte_is_read_or_refused_and_nothing_else_happens(sent, data):
    wire = bytearray(octets(*sent))
    wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    receiver = Receiver(1024)
    try:
        feed(receiver, wire)
        receiver.end()
    except PeerError as error:
        assert len(str(error)) > 20  # noqa: PT017

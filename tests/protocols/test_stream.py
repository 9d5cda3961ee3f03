"""Laws of chains and of the threads in them."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import Channel
from protocols.messages import Text
from protocols.stream import beside, buffered, chain, on


def texts(n):
    return [Text(str(i)) for i in range(n)]


def alive():
    return {thread.name for thread in threading.enumerate()}


@given(st.integers(0, 40), st.integers(1, 5))
def test_a_buffer_changes_neither_order_nor_number(n, depth):
    sent = texts(n)
    assert list(buffered(depth)(iter(sent))) == sent


@given(st.integers(0, 40))
def test_every_message_beside_an_opinion_is_sent_on_in_order_and_answered_once(n):
    sent = texts(n)
    told = []
    node = beside(lambda m: [Text("re " + m.text)], 100, lambda m: [Text("missed " + m.text)], told.append)
    assert list(node(iter(sent))) == sent
    assert [m.text for m in told] == ["re " + m.text for m in sent]


def test_a_message_is_sent_on_while_its_opinion_is_still_being_made():
    release = threading.Event()

    def slow(message):
        release.wait()
        return [Text("opinion")]

    told = []
    stream = beside(slow, 4, lambda _: [], told.append)(iter(texts(2)))
    assert [next(stream).text, next(stream).text] == ["0", "1"]
    release.set()
    assert list(stream) == []
    assert [m.text for m in told] == ["opinion", "opinion"]


def test_an_opinion_begins_when_downstream_is_done_with_the_message():
    judged = []

    def note(message):
        judged.append(message.text)
        return []

    stream = beside(note, 4, lambda _: [], print)(iter(texts(3)))
    for n in range(3):
        assert next(stream).text == str(n)
        assert str(n) not in judged
    assert list(stream) == []
    assert judged == ["0", "1", "2"]


def test_an_opinion_that_fails_is_answered_as_missed():
    def fails(message):
        raise ValueError("no opinion")

    told = []
    assert list(beside(fails, 4, lambda _: [Text("missed")], told.append)(iter(texts(2)))) == texts(2)
    assert told == [Text("missed"), Text("missed")]


def test_messages_an_opinion_has_no_room_for_are_answered_as_missed_and_none_waits():
    release = threading.Event()
    sent, told = texts(50), []

    def slow(message):
        release.wait()
        return [Text("re " + message.text)]

    stream = beside(slow, 3, lambda m: [Text("missed " + m.text)], told.append)(iter(sent))
    assert [next(stream).text for _ in range(50)] == [m.text for m in sent]
    release.set()
    assert list(stream) == []
    assert len(told) == 50
    assert sum(m.text.startswith("missed") for m in told) >= 45


def test_an_error_upstream_arrives_downstream_after_what_was_made_before():
    def breaks():
        yield Text("first")
        raise ValueError("cut")

    for node in (buffered(2), beside(lambda _: [], 2, lambda _: [], print)):
        stream = node(breaks())
        assert next(stream).text == "first"
        with pytest.raises(ValueError, match="cut"):
            next(stream)


def test_leaving_a_chain_early_ends_its_threads_and_closes_what_is_before_it():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield Text("more")
        finally:
            closed.set()

    before = alive()
    stream = chain(buffered(2, "one"), beside(lambda _: [], 2, lambda _: [], print, "two"))(source())
    next(stream)
    stream.close()
    assert closed.is_set()
    assert alive() == before


def test_a_writer_waits_while_the_channel_is_full_and_is_freed_when_nobody_reads():
    channel = Channel(1)
    assert channel.put(1)
    assert not channel.offer(2)
    writer = threading.Thread(target=lambda: results.append(channel.put(3)))
    results = []
    writer.start()
    channel.abandon()
    writer.join()
    assert results == [False]


def test_strangers_pass_by_in_their_place():
    stream = on(int, lambda n: [n, n])(iter([Text("a"), 1, Text("b")]))
    assert [m if isinstance(m, int) else m.text for m in stream] == ["a", 1, 1, "b"]

"""Work beside a chain: nothing is lost, nothing waits for ever, and the end comes when all is answered."""

import threading

import pytest

from protocols.aside import Answer, aside
from protocols.channel import Channel
from protocols.messages import Text

PATIENCE_S = 10.0


def everything(side):
    while not side.over:
        got = side.take(PATIENCE_S)
        if got is not None:
            yield got


def test_messages_come_in_order_and_every_job_is_answered():
    with aside(iter([Text(str(n)) for n in range(20)]), lambda job: job * 2, 32, "test") as side:
        got = []
        for message in everything(side):
            got.append(message)
            if isinstance(message, Text):
                assert side.give(int(message.text))
    assert [m.text for m in got if isinstance(m, Text)] == [str(n) for n in range(20)]
    assert [m.value for m in got if isinstance(m, Answer)] == [2 * n for n in range(20)]


def test_messages_do_not_wait_for_work_and_too_many_jobs_are_not_taken():
    let = threading.Event()
    with aside(iter([Text("a"), Text("b"), Text("c"), Text("d")]), lambda _: let.wait(PATIENCE_S), 1, "test") as side:
        given = [side.give(side.take(PATIENCE_S).text)]
        given += [side.give(side.take(PATIENCE_S).text) for _ in range(3)]
        assert given[0]
        assert not all(given)
        assert side.take(0.0) is None
        let.set()
        assert [answer.value for answer in everything(side)] == [True] * sum(given)


def test_of_the_jobs_that_wait_the_one_goes_first_that_is_said_to():
    let, taken = threading.Event(), threading.Event()

    def work(job):
        taken.set()
        return job if let.wait(PATIENCE_S) else None

    def largest(waiting):
        return waiting.index(max(waiting))

    with aside(iter([Text("a")]), work, 4, "test", largest) as side:
        assert side.give(0)
        assert taken.wait(PATIENCE_S)
        assert all(side.give(job) for job in (2, 1, 3))
        let.set()
        assert [got.value for got in everything(side) if isinstance(got, Answer)] == [0, 3, 2, 1]


def test_no_job_is_begun_where_none_is_to_go_now():
    asked, let = threading.Event(), threading.Event()

    def none_at_first(waiting):
        asked.set()
        return 0 if let.is_set() else None

    with aside(iter([Text("a")]), str, 4, "test", none_at_first) as side:
        assert side.give(1)
        assert side.take(PATIENCE_S).text == "a"
        assert asked.wait(PATIENCE_S)
        assert side.take(0.0) is None
        let.set()
        assert [got.value for got in everything(side)] == ["1"]


def test_an_error_upstream_comes_after_the_last_answer():
    def broken():
        yield Text("a")
        raise ValueError("upstream")

    with aside(broken(), lambda job: job, 4, "test") as side:
        assert side.give(side.take(PATIENCE_S))
        answers = []
        with pytest.raises(ValueError, match="upstream"):
            answers.extend(everything(side))
        assert len(answers) == 1


def test_leaving_early_frees_both_threads_and_closes_upstream():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield Text("")
        finally:
            closed.set()

    with aside(endless(), lambda job: job, 2, "leaver") as side:
        side.take(PATIENCE_S)
    assert closed.is_set()
    assert not [t for t in threading.enumerate() if t.name.startswith("leaver")]


def test_taking_from_a_channel_ends_with_its_items_or_its_time():
    channel = Channel(2)
    assert channel.take(0.0) is None
    channel.put(1)
    channel.close()
    assert [channel.take(), channel.take()] == [1, None]

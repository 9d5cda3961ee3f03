"""Two halves of a job are both done, whatever the workers do, and both at rest when an error leaves."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engines.halves import both, each, together


def test_an_error_of_one_half_leaves_when_the_other_is_at_rest():
    begun, failing, ended = threading.Event(), threading.Event(), []

    def first():
        begun.wait()
        failing.set()
        raise ValueError("of the first half")

    def second():
        begun.set()
        failing.wait()
        ended.append(sum(range(1_000_000)))

    with ThreadPoolExecutor(1) as workers:
        with pytest.raises(ValueError, match="of the first half"):
            both(first, second, workers)
        assert ended


def test_an_error_of_a_helper_is_raised_and_one_of_a_half_that_nobody_began_is_not_made():
    with ThreadPoolExecutor(1) as workers:
        begun = threading.Event()

        def second():
            begun.set()
            raise ValueError("of the second half")

        with pytest.raises(ValueError, match="of the second half"):
            both(begun.wait, second, workers)
        free, done = threading.Event(), []
        workers.submit(free.wait)
        with pytest.raises(ZeroDivisionError):
            both(lambda: 1 / 0, lambda: done.append(1), workers)
        free.set()
    assert not done


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_made_keeps_its_order_with_a_helper_or_without(busy):
    with ThreadPoolExecutor(1) as workers:
        free = threading.Event()
        if busy:
            workers.submit(free.wait)
        assert each(str, range(5), workers) == each(str, range(5)) == list("01234")
        assert together(lambda: 1, lambda: "two", workers) == (1, "two")
        free.set()

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from protocols.priority import COMING, JUDGING, PREPARING, stand_back


def priority():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has priorities by thread")
def test_a_thread_that_stands_back_leaves_all_others_where_they_are():
    before = priority()
    with ThreadPoolExecutor(1, "test", stand_back, (max(COMING, before),)) as workers:
        assert workers.submit(priority).result() == max(COMING, before)
    assert priority() == before


def test_what_later_frames_want_waits_for_what_the_next_one_wants_and_opinions_for_both():
    assert 0 < COMING < PREPARING < JUDGING

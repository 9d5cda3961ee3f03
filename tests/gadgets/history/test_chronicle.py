"""Laws of the chronicle: a scan never waits for its history, and every scan that is not kept is told once."""

import sqlite3
import threading

import pytest

from gadgets.history.chronicle import DEPTH, Chronicle, Keep
from gadgets.history.drift import FLAGGED, Drift
from gadgets.history.store import Store
from gadgets.serve import ServeOptions, running
from protocols.events import Severity
from protocols.messages import Image, Text
from tests.gadgets.history.past_scans import PROTOCOL, flag, record
from tests.making import scan
from tests.peer import talk, whole


def chronicle_of(*args, **kwargs):
    """A chronicle with room for all that a test tells it at once."""
    return Chronicle(Keep(*args, **kwargs), depth=1000)


def one(chronicle, *events, told):
    """Begin and end a scan."""
    begun = chronicle.begin(scan(), PROTOCOL, "c1", told.append)
    for event in events or (flag(),):
        begun.note(event)
    chronicle.end(begun)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"


def kept(path):
    with Store(path) as store:
        return store.pasts()


def test_without_a_place_nothing_is_kept_and_no_thread_runs():
    before = threading.active_count()
    chronicle = Chronicle()
    assert chronicle.begin(scan(), PROTOCOL, "c1", print) is None
    chronicle.end(None)
    chronicle.close()
    assert threading.active_count() == before


def test_every_scan_is_in_the_store_when_the_server_has_ended(path):
    told = []
    chronicle = chronicle_of(path)
    for _ in range(10):
        one(chronicle, told=told)
    chronicle.close()
    assert len(kept(path)) == 10
    assert told == []


def test_only_the_newest_scans_are_kept(path):
    chronicle = chronicle_of(path, scans=3)
    for _ in range(10):
        one(chronicle, told=[])
    chronicle.close()
    assert [past.scan for past in kept(path)] == [8, 9, 10]


def test_a_damaged_store_is_moved_aside_with_one_flag_and_the_scan_goes_into_a_new_one(path):
    path.write_bytes(b"not a database, and longer than its header" * 200)
    told = []
    chronicle = chronicle_of(path)
    one(chronicle, told=told)
    one(chronicle, told=told)
    chronicle.close()
    assert len(kept(path)) == 2
    (aside,) = path.parent.glob("history.db.damaged-*")
    assert aside.read_bytes().startswith(b"not a database")
    (only,) = told
    assert (only.code, only.severity) == ("history", Severity.UNKNOWN)
    assert aside.name in only.message


def test_pages_that_were_overwritten_are_noticed_when_the_store_is_opened(path):
    chronicle = chronicle_of(path)
    for _ in range(40):
        one(chronicle, *[flag() for _ in range(50)], told=[])
    chronicle.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * 20_000)
    told = []
    chronicle = chronicle_of(path)
    one(chronicle, told=told)
    chronicle.close()
    assert len(kept(path)) == len(told) == 1
    assert list(path.parent.glob("history.db.damaged-*"))


def test_a_locked_store_is_one_flag_a_scan_and_is_written_again_when_it_is_free(path, monkeypatch):
    monkeypatch.setattr("gadgets.history.chronicle.WAIT_S", 0.01)
    Store(path, write=True).close()
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    said = threading.Semaphore(0)
    told = []

    def tell(flag):
        told.append(flag)
        said.release()

    chronicle = chronicle_of(path)
    begun = chronicle.begin(scan(), PROTOCOL, "c1", tell)
    assert said.acquire(timeout=10)
    locker.execute("ROLLBACK")
    locker.close()
    begun.note(flag())
    chronicle.end(begun)
    chronicle.close()
    assert [(f.code, f.severity) for f in told] == [("history", Severity.UNKNOWN)]
    assert "locked" in told[0].message
    assert len(kept(path)) == 1


def test_a_full_store_is_one_flag_a_scan_and_what_was_kept_stays(path):
    told = []
    chronicle = chronicle_of(path, most_mib=1)
    for _ in range(12):
        one(chronicle, *[flag() for _ in range(3000)], told=told)
    chronicle.close()
    assert 0 < len(kept(path)) < 12
    assert len(told) == 12 - len(kept(path))
    assert all("full" in flag.message for flag in told)


def test_a_store_that_nobody_can_write_is_told_and_nothing_raises(tmp_path):
    told = []
    chronicle = chronicle_of(tmp_path)  # a folder
    one(chronicle, told=told)
    chronicle.close()
    assert [flag.severity for flag in told] == [Severity.UNKNOWN]
    assert str(tmp_path) in told[0].message


def test_when_the_disk_lags_scans_are_left_out_and_told_and_nobody_waits(path):
    stop, told = threading.Event(), []

    def hang(_flag):
        stop.wait(10)

    chronicle = Chronicle(Keep(path.parent))  # a folder: the first scan's flag is told, which hangs
    chronicle.begin(scan(), PROTOCOL, "c0", hang)
    for _ in range(2 * DEPTH):
        one(chronicle, told=told)
    lost = [flag for flag in told if "disk is so slow" in flag.message]
    stop.set()
    chronicle.close()
    assert len(lost) >= DEPTH


def test_a_drift_is_told_once_with_since_when_and_how_far_and_stands_in_the_store(path):
    told = []
    chronicle = chronicle_of(path)
    for number in range(120):
        one(chronicle, flag(score=30 + number % 7), told=told)
    chronicle.close()
    assert told == []
    chronicle = chronicle_of(path)
    for number in range(30):
        one(chronicle, flag(score=15 + number % 7), told=told)
    chronicle.close()
    (only,) = told
    assert (only.code, only.severity, only.evidence["figure"]) == ("drift", Severity.WARN, "snr")
    assert only.score < -5
    with Store(path) as store:
        (alarm,) = store.alarms()
    assert (alarm.figure, alarm.normal) == ("snr", 33.0)
    assert kept(path)[115].time_s <= alarm.since_s <= kept(path)[122].time_s


def test_more_flagged_scans_than_before_are_a_drift_too(path):
    told = []
    chronicle = chronicle_of(path)
    for number in range(110):
        one(chronicle, flag(score=30 + number % 5, severity=Severity.WARN if number > 80 else Severity.PASS), told=told)
    chronicle.close()
    assert [flag.evidence["figure"] for flag in told] == [FLAGGED]
    assert told[0].evidence["now"] == 1.0


def test_two_servers_on_one_store_watch_the_scans_of_both_and_tell_a_drift_once(path):
    told = []
    with Store(path, write=True) as one_store, Store(path, write=True) as another:
        servers = [(one_store, Drift()), (another, Drift())]
        for number in range(160):
            store, drift = servers[number % 2]
            added = record(flag(score=(30 if number < 120 else 12) + number % 7), number=number)
            told += [(number, flag) for flag in drift.look(store, store.add(added), added)]
    ((number, alarm),) = told
    assert 120 < number < 132
    assert alarm.evidence["figure"] == "snr"


def test_a_server_keeps_what_it_has_judged(path):
    with running(ServeOptions(port=0, history=Keep(path))) as server:
        for _ in range(3):
            assert [type(m) for m in talk(server.port, whole())].count(Image) == 1
    pasts = kept(path)
    assert [past.protocol for past in pasts] == ["cartesian"] * 3
    assert all(past.scores["snr"][0] > 5 for past in pasts)


def test_a_console_is_told_that_a_scan_is_not_kept_and_gets_its_image(tmp_path):
    with running(ServeOptions(port=0, history=Keep(tmp_path))) as server:
        got = talk(server.port, whole())
    assert sum(isinstance(message, Image) for message in got) == 1
    assert any(m.text.startswith("WRN history: ") for m in got if isinstance(m, Text))

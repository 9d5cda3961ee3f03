"""Whatever is wrong around quality control, limits, history or listeners: the image comes, and it is told once."""

import contextlib
import sqlite3
import threading

import pytest
import zmq

from gadgets.history.chronicle import Keep
from gadgets.history.store import Store
from gadgets.serve import ServeOptions, running
from protocols.bus import Subscriber
from protocols.events import Flag, Severity
from protocols.messages import Close, Config, Image, Text
from tests.gadgets.history.past_scans import flag, record
from tests.making import TOML
from tests.peer import PATIENCE_S, opening, raw, talk, whole

EXPIRED = TOML.replace('advice = "repeat"', 'advice = "repeat"\nvalid_until = 2020-01-01')


@pytest.fixture(scope="module")
def server():
    with running(ServeOptions(port=0)) as running_server:
        yield running_server


def by_text(text):
    return [Config(text, is_name=False), *whole()[1:]]


def images(got):
    return sum(isinstance(message, Image) for message in got)


def texts(got, prefix):
    return [m.text for m in got if isinstance(m, Text) and m.text.startswith(prefix)]


def heard(server, send, code):
    """What comes back while something is sent, and the first flag of a code on the bus."""
    with Subscriber(server.bus_address, ["flag"]) as bus:
        assert server.publisher.wait_for_subscriptions(1)
        got = send()
        return got, next(event for event in bus.events(PATIENCE_S) if isinstance(event, Flag) and event.code == code)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value = 5.0", "valeu = 5.0", "limits.snr.valeu: no such key. Did you mean 'value'?"),
        ("[limits.snr]", "[limits.srn]", "limits.srn: no check has this code. Did you mean 'snr"),
        ('unit = "1"\nadvice', 'unit = "dB"\nadvice', "limits.snr.unit: got 'dB', wanted '1'"),
    ],
)
def test_a_mistake_in_limits_ends_the_scan_before_it_begins_with_what_to_mend(server, old, new, words):
    got = talk(server.port, by_text(TOML.replace(old, new, 1)))
    (error,) = texts(got, "ERR")
    assert words in error
    assert images(got) == 0
    assert images(talk(server.port, by_text(TOML))) == 1


def test_an_expired_limit_judges_unknown_and_the_image_comes(server):
    got, told = heard(server, lambda: talk(server.port, by_text(EXPIRED)), "snr")
    assert images(got) == 1
    assert told.severity is Severity.UNKNOWN
    assert told.score is not None


def locked(path):
    """Another program writes and does not end."""
    Store(path, write=True).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other.close


def corrupt(path):
    path.write_bytes(b"not a database, and longer than its header" * 200)
    return lambda: None


def full(path):
    """A store at its limit of one MiB, to the last flag."""
    with Store(path, write=True, most_mib=1) as store:
        for flags in (500, 10, 1):
            with contextlib.suppress(sqlite3.OperationalError):
                while True:
                    store.add(record(*[flag() for _ in range(flags)]))
    return lambda: None


@pytest.mark.parametrize("spoil", [locked, corrupt, full])
def test_a_store_that_is_of_no_use_is_one_unknown_flag_and_no_image_waits_for_it(spoil, tmp_path, monkeypatch):
    monkeypatch.setattr("gadgets.history.chronicle.WAIT_S", 0.05)
    path = tmp_path / "history.db"
    free = spoil(path)
    try:
        with running(ServeOptions(port=0, history=Keep(path, most_mib=1))) as server:
            got, told = heard(server, lambda: talk(server.port, whole()), "history")
            again = talk(server.port, whole())
    finally:
        free()
    assert images(got) == images(again) == 1
    assert isinstance(got[-1], Close)
    assert told.severity is Severity.UNKNOWN
    assert str(path) in told.message or path.name in told.message


def test_listeners_that_read_nothing_or_leave_in_mid_scan_cost_no_image_and_no_flag(server):
    context = zmq.Context()
    idle = context.socket(zmq.SUB)
    idle.setsockopt(zmq.RCVHWM, 1)
    idle.subscribe("")
    idle.connect(server.bus_address)
    leaving = Subscriber(server.bus_address)
    here, gone = threading.Event(), threading.Event()

    def leave():
        here.wait(PATIENCE_S)
        leaving.close()
        gone.set()

    def lines():
        """Half of the scan, then the other half when a listener has gone."""
        first, second = raw(range(16)), raw(range(16, 32))
        first.headers["flags"] = 0
        yield from (*opening(), first)
        here.set()
        assert gone.wait(PATIENCE_S)
        yield from (second, Close())

    threading.Thread(target=leave).start()
    got, told = heard(server, lambda: talk(server.port, lines()), "snr")
    idle.close(linger=0)
    context.term()
    assert images(got) == 1
    assert told.severity is Severity.PASS

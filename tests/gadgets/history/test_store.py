"""Laws of the store: whole scans or nothing, no identity, bounded, shared, and readable after a crash."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gadgets.history.store import AlarmRow, Store, StoreError, damaged
from protocols.events import Severity
from protocols.scan_protocol import parse
from tests.gadgets.history.past_scans import BEGIN_S, DAY_S, figures, flag, patient, ready, record

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "history.db"


def test_what_was_told_of_a_scan_is_found_again(path):
    with Store(path, write=True) as store:
        told = [
            flag(),
            flag(score=None, severity=Severity.UNKNOWN),
            flag("spikes", 3.0, Severity.WARN),
            figures(),
            ready(),
        ]
        assert store.add(record(*told)) == 1
    with Store(path) as store:
        (past,) = store.pasts()
    assert past.scores == {"snr": [30.0], "spikes": [3.0], "efc": [0.5]}
    assert past.broken == {"spikes"}
    assert past.told == {"snr": 2, "spikes": 1}
    assert past.protocol == "test"


def test_a_figure_that_has_been_judged_is_not_counted_twice(path):
    with Store(path, write=True) as store:
        store.add(record(flag("efc", 0.4), figures(efc=0.4)))
        assert store.pasts()[0].scores == {"efc": [0.4]}


def test_figures_of_linear_and_network_images_of_one_scan_are_watched_apart(path):
    order = '"oversampling", "accumulate", "reconstruct", "network", "finish"'
    drawn = parse(f'name = "drawn"\ntitle = "x"\n[chain]\norder = [{order}]\n', "drawn.toml")
    linear, network = (
        figures(snr=snr).model_copy(update={"engine": by}) for snr, by in ((20.0, "columns"), (60.0, "network"))
    )
    behind = figures(snr=61.0, snr_linear=21.0, snr_difference=40.0).model_copy(update={"engine": "network"})
    with Store(path, write=True) as store:
        store.add(record(flag("snr", 20.0), flag("snr", 60.0), linear, network, behind, protocol=drawn))
        store.add(record(flag("snr", 20.0), linear, protocol=drawn))
        store.add(record(flag("snr", 20.0), linear))
        watched = [past.watched for past in store.pasts()]
    assert watched[0] == {"snr": [60.0, 61.0], "snr_linear": [20.0, 21.0], "snr_difference": [40.0]}
    assert watched[1] == {"snr_linear": [20.0]}
    assert watched[2] == {"snr": [20.0]}


def test_no_byte_of_the_file_tells_who_the_patient_is_and_one_measurement_has_one_hash(path):
    told = flag("coil_gain", -9.0, evidence={"coil": 3, "label": "Doe's coil"})
    with Store(path, write=True) as store:
        for number in range(2):
            store.add(record(told, number=number, of=patient()))
    sql = sqlite3.connect(path)
    hashes = {row[0] for row in sql.execute("SELECT measurement FROM scan")}
    assert sql.execute("SELECT evidence FROM flag").fetchone()[0] == '{"coil": 3}'
    sql.close()
    assert len(hashes) == 1
    assert not [p for p in path.parent.iterdir() if re.search(rb"Doe|45321|knee", p.read_bytes())]


def test_old_scans_are_forgotten_by_days_and_by_number_with_all_that_hangs_on_them(path):
    with Store(path, write=True) as store:
        for number in range(20):
            store.add(record(number=number))
        assert store.prune(days=365, scans=8, now_s=BEGIN_S + DAY_S) == 12
        assert [past.scan for past in store.pasts()] == list(range(13, 21))
        assert store.prune(days=1, scans=8, now_s=BEGIN_S + DAY_S + 15 * 600 + 1) == 4
        assert [past.scan for past in store.pasts()] == [17, 18, 19, 20]
    sql = sqlite3.connect(path)
    assert sql.execute("SELECT count(*), min(scan) FROM flag").fetchone() == (4, 17)
    assert sql.execute("SELECT count(*), min(scan) FROM figure").fetchone() == (8, 17)
    sql.close()


def test_scans_are_chosen_by_protocol_time_number_and_scanner(path):
    with Store(path, write=True) as store:
        for number in range(6):
            store.add(record(number=number, of=patient() if number % 2 else None))
        acme = store.pasts()[1].scanner
        assert "Acme" in acme
        assert [past.scan for past in store.pasts(scanner=acme)] == [2, 4, 6]
        assert [past.scan for past in store.pasts(since_s=BEGIN_S + 3 * 600)] == [4, 5, 6]
        assert [past.scan for past in store.pasts(after=2, last=2)] == [5, 6]
        assert store.pasts("another") == []


def test_an_alarm_is_kept_once(path):
    with Store(path, write=True) as store, Store(path, write=True) as other:
        row = AlarmRow(store.add(record()), "snr", BEGIN_S, 30.0, 20.0, -4.0, "1")
        assert store.alarm(row)
        assert not other.alarm(row)
        assert other.alarms() == [row]


def test_two_writers_and_a_reader_share_a_store(path):
    with Store(path, write=True) as one, Store(path, write=True) as two, Store(path) as reader:
        for number in range(10):
            (one, two)[number % 2].add(record(number=number))
            assert len(reader.pasts()) == number + 1


def test_a_locked_store_a_full_one_and_a_damaged_one_are_told_apart(path):
    with Store(path, write=True, most_mib=1) as store, Store(path, write=True, wait_s=0.01) as other:
        store._sql.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as locked:
            other.probe()
        store._sql.execute("ROLLBACK")
        store.add(record())
        with pytest.raises(sqlite3.OperationalError, match="full") as full:
            store.add(record(*[flag(evidence={"coil": 1, "line": 2, "sample": 3}) for _ in range(15_000)]))
        assert len(store.pasts()) == 1
    path.write_bytes(b"no database at all" * 999)
    with pytest.raises(sqlite3.DatabaseError) as broken:
        Store(path, write=True)
    assert [damaged(error.value) for error in (locked, full, broken)] == [False, False, True]


def test_a_file_that_is_not_ours_is_refused_and_left_as_it_is(path):
    path.parent.mkdir()
    sql = sqlite3.connect(path)
    sql.execute("CREATE TABLE bookmarks (x)")
    sql.close()
    with pytest.raises(StoreError, match="another program, wanted a new file"):
        Store(path, write=True)
    sql = sqlite3.connect(path)
    assert sql.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    sql.close()


def test_a_store_of_a_later_release_is_refused_and_one_that_is_not_there_says_how_to_keep_it(path):
    with pytest.raises(StoreError, match="no such history; one is kept by: scanside serve --history"):
        Store(path)
    with Store(path, write=True) as store:
        store._sql.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="got a history of version 9, wanted 1"):
        Store(path, write=True)


WRITER = """
import sys
from pathlib import Path
from gadgets.history.store import Store
from tests.gadgets.history.past_scans import flag, record
with Store(Path(sys.argv[1]), write=True) as store:
    for number in range(10**6):
        store.add(record(*[flag() for _ in range(50)], number=number))
        print(number + 1, flush=True)
"""


def test_a_writer_that_is_killed_leaves_every_scan_that_it_had_written_and_no_half_one(path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as writer:
        while int(writer.stdout.readline()) < 30:
            pass
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    known = max([30, *map(int, rest)])
    with Store(path, write=True) as store:
        pasts = store.pasts()
        assert known <= len(pasts) <= known + 1
        assert {len(past.scores["snr"]) for past in pasts} == {50}
        assert store.add(record()) == len(pasts) + 1

"""scanside qc and scanside limits, run as people run them."""

import json
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gadgets.cli import app
from gadgets.history.drift import Drift
from gadgets.history.store import Store
from protocols.messages import Image
from protocols.scan_protocol import find, parse
from tests.gadgets.history.past_scans import flag, record
from tests.peer import talk, whole

CARTESIAN = find("cartesian")


def scanside(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """160 scans; SNR falls by half with the 131st."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    with Store(path, write=True) as opened:
        drift = Drift()
        for number in range(160):
            snr = (40 if number < 130 else 20) + number % 9
            made = record(flag(score=snr, limit=5.0), number=number, protocol=CARTESIAN)
            drift.look(opened, opened.add(made), made)
    return path


def test_history_sums_up_every_figure_with_its_alarms(store):
    done = scanside("qc", "history", "--history", store)
    assert done.exit_code == 0, done.stderr
    assert "cartesian on unknown scanner, 2 coils, 8x8x1: 160 scans" in done.stdout
    assert "drift alarms" in done.stdout


def test_history_shows_a_code_scan_by_scan_and_draws_it(store, tmp_path):
    picture = tmp_path / "snr.png"
    done = scanside("qc", "history", "--history", store, "--code", "snr", "--out", picture)
    assert done.exit_code == 0, done.stderr
    assert "snr, the last 30 scans" in done.stdout
    assert "drift" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_history_since_a_day_knows_only_later_scans(store):
    done = scanside("qc", "history", "--history", store, "--since", "2099-01-01")
    assert "0 scans, no drift alarm" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--history", "nowhere.db"], "no such history; one is kept by: scanside serve --history nowhere.db"),
        (["--history", "STORE", "--code", "srn"], "no scan has 'srn'. Did you mean 'snr'?"),
        (["--history", "STORE", "--out", "/nowhere/x.png"], "No such file or directory: '/nowhere/x.png'"),
    ],
)
def test_what_is_wrong_with_a_question_is_one_line(store, words, told):
    done = scanside("qc", "history", *[store if word == "STORE" else word for word in words])
    assert done.exit_code == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_limits_are_learned_from_a_store_and_written_once(store, tmp_path):
    out = tmp_path / "limits.toml"
    words = ["limits", "fit", "--protocol", "cartesian", "--history", store, "--share", "0.95", "--out", out]
    done = scanside(*words)
    assert done.exit_code == 0, done.stderr
    assert "not learned: missing_lines" in done.stderr
    chain = 'name = "a"\ntitle = "A"\n[chain]\norder = ["finish"]\n'
    limit = parse(chain + out.read_text(), "a.toml").limits["snr"]
    assert (limit.basis, limit.value) == ("site percentile", 21.0)
    again = scanside(*words)
    assert again.exit_code == 1
    assert "File exists" in again.stderr


def test_limits_are_refused_with_too_few_scans_and_say_how_many_are_needed(store):
    done = scanside("limits", "fit", "--protocol", "cartesian", "--history", store)
    assert done.exit_code == 1
    assert "snr: got 160 clean scans with a score, wanted 299" in done.stderr
    assert "no limit of cartesian could be learned from 160 scans" in done.stderr


def test_a_replay_of_an_exams_flags_leaves_scans_of_other_scan_protocols_out(tmp_path):
    ids = {name: find(name).limit_id("snr") for name in ("cartesian", "scout")}
    flags = [
        flag(score=4.0, session="c1", limit=5.0, limit_id=ids["cartesian"]),
        flag(score=30.0, session="c2", limit=5.0, limit_id=ids["cartesian"]),
        flag(score=1.0, session="c3", limit=5.0, limit_id=ids["scout"]),
    ]
    path = tmp_path / "flags.json"
    path.write_text(json.dumps([one.model_dump(mode="json") for one in flags]), encoding="utf-8")
    done = scanside("limits", "replay", "--protocol", "cartesian", path)
    assert done.exit_code == 0, done.stderr
    assert "cartesian: 2 past scans" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("snr")]
    assert line.split()[1:7] == ["≥", "5", "2", "1", "1", "0"]


def test_limits_can_be_tried_before_they_are_put_to_use(store, tmp_path):
    head = 'name = "cartesian"\ntitle = "A"\n[chain]\norder = ["finish"]\n'
    limit = '[limits.snr]\nvalue = 30\ndirection = "min"\nunit = "1"\n'
    (tmp_path / "cartesian.toml").write_text(head + limit, encoding="utf-8")
    done = scanside("limits", "replay", "--protocol", tmp_path / "cartesian.toml", "--history", store)
    (line,) = [line for line in done.stdout.splitlines() if line.strip().startswith("snr")]
    assert line.split()[1:7] == ["≥", "30", "160", "130", "30", "0"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not json", "Invalid JSON"),
        ('[{"code": "snr"}]', "severity: Field required"),
        ("[]", "no scan of cartesian in"),
    ],
)
def test_a_file_that_is_no_history_is_one_clear_line(tmp_path, text, told):
    path = tmp_path / "flags.json"
    path.write_text(text, encoding="utf-8")
    done = scanside("limits", "replay", "--protocol", "cartesian", path)
    assert done.exit_code == 1
    assert told in done.stderr
    assert str(path) in done.stderr


def test_without_scans_and_with_unknown_names_it_is_said_what_to_type():
    done = scanside("limits", "fit", "--protocol", "cartesian")
    assert "name files with flags (flags.json of exams), or --history FILE" in done.stderr
    done = scanside("limits", "fit", "--protocol", "cartesain", "x")
    assert "Did you mean 'cartesian'" in done.stderr


@pytest.fixture
def launched():
    """Start `scanside serve` with a history; gives the process and its port."""
    started = []

    def launch(path):
        command = [sys.executable, "-m", "gadgets", "serve", "--port", "0", "--history", str(path)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1], json.loads(started[-1].stdout.readline())["port"]

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def test_two_servers_keep_their_scans_in_one_store(launched, tmp_path):
    path = tmp_path / "history.db"
    servers = [launched(path) for _ in range(2)]
    for _ in range(3):
        for _, port in servers:
            assert any(isinstance(message, Image) for message in talk(port, whole()))
    for process, _ in servers:
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "Traceback" not in log
        assert "history" not in log
    with Store(path) as opened:
        assert [past.protocol for past in opened.pasts()] == ["cartesian"] * 6

"""The command line, run as people run it."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from typer.testing import CliRunner

from gadgets import look
from gadgets.cli import app
from gadgets.serve import ServeOptions, running
from protocols.bus import BusError, Publisher, ask
from protocols.events import EVENTS, Flag, Health, ImageReady, Severity

ANY = ServeOptions(port=0)


def scanside(*words):
    return CliRunner().invoke(app, list(words))


def test_check_explains_every_shipped_scan_protocol():
    done = scanside("check")
    assert done.exit_code == 0, done.stderr
    for word in (
        "cartesian:",
        "reconstruct",
        "thread",
        "missing_lines ≤ 0 lines, else FAIL",
        "image 250 ms",
        "priority",
    ):
        assert word in done.stdout


def test_check_lists_every_problem_of_every_file_and_fails(tmp_path):
    shipped = scanside("check", "cartesian").stdout
    assert shipped
    good = "name = 'a'\ntitle = 'A'\n[chain]\norder = ['oversampling', 'accumulate', 'reconstruct', 'finish']\n"
    (tmp_path / "a.toml").write_text(good + "[chain.finish]\npixles = 'uint16'\n", encoding="utf-8")
    (tmp_path / "b.toml").write_text("nam = 'b'\n", encoding="utf-8")
    done = scanside("check", str(tmp_path / "a.toml"), str(tmp_path / "b.toml"), "cartesain")
    assert done.exit_code == 1
    assert "Did you mean 'pixels'?" in done.stderr
    assert "b.toml:1: nam: no such key. Did you mean 'name'?" in done.stderr
    assert "Did you mean 'cartesian'" in done.stderr


def test_check_refuses_a_limit_that_has_expired(tmp_path):
    text = (
        "name = 'a'\ntitle = 'A'\n[chain]\norder = ['oversampling', 'accumulate', 'reconstruct', 'finish']\n"
        "[limits.snr]\nvalue = 1\ndirection = 'min'\nunit = '1'\nvalid_until = 2020-01-01\n"
    )
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    done = scanside("check", "a", "--protocols", str(tmp_path))
    assert done.exit_code == 1
    assert "limits.snr: expired on 2020-01-01" in done.stderr


def test_info_says_what_is_here_and_that_no_server_is():
    with running(ANY) as server:
        port = server.port
    done = scanside("info", "--port", str(port))
    assert done.exit_code == 0
    assert "engines   linear" in done.stdout
    assert f"none at 127.0.0.1:{port}; start one with: scanside serve --port {port}" in done.stdout


def test_info_asks_a_running_server_how_it_is():
    with running(ANY) as server:
        done = scanside("info", "--port", str(server.port))
    assert f"at 127.0.0.1:{server.port}, release" in done.stdout


def test_a_query_that_nobody_knows_is_an_error():
    with running(ANY) as server, pytest.raises(BusError, match="does not answer the query no::such"):
        look.query("127.0.0.1", server.port, "no::such")


def test_watching_prints_events_as_they_come():
    with Publisher("tcp://127.0.0.1:*") as publisher:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "gadgets", "info", "--watch", "--bus", publisher.address],
            stdout=subprocess.PIPE,
            text=True,
        )
        with watcher:
            assert publisher.wait_for_subscriptions(len(EVENTS), timeout_s=60)
            publisher.publish(Flag(code="snr", severity=Severity.WARN, message="SNR 3 [low]", advice="look"))
            publisher.publish(
                ImageReady(protocol="scout", series=1, index=4, slice=2, latency_ms=3.25, engine="linear")
            )
            publisher.publish(Health(status="ready", release="0"))
            lines = [watcher.stdout.readline() for _ in range(4)]
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(60) == 0
    assert "WARN snr: SNR 3 [low] -> look" in lines[1]
    assert "scout series 1 image 4 slice 2 3.2 ms" in lines[2]
    assert '"status":"ready"' in lines[3]


def test_watching_finds_the_bus_by_asking_the_server():
    with running(ANY) as server:
        assert look.query("127.0.0.1", server.port, "scanside::bus") == server.bus_address


def test_schema_prints_json_schemas():
    assert set(json.loads(scanside("schema").stdout)) == {*EVENTS, "answer"}
    assert json.loads(scanside("schema", "flag").stdout)["title"] == "Flag"
    done = scanside("schema", "flags")
    assert done.exit_code == 1
    assert "Did you mean 'flag'?" in done.stderr


def test_keys_are_made_once(tmp_path):
    done = scanside("keys", str(tmp_path / "keys"))
    assert done.exit_code == 0
    assert (tmp_path / "keys" / "server.key_secret").is_file()
    again = scanside("keys", str(tmp_path / "keys"))
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_serve_says_when_it_is_ready_and_ends_cleanly_on_ctrl_c():
    command = [sys.executable, "-m", "gadgets", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as plugin:
        ready = json.loads(plugin.stdout.readline())
        assert ready["ready"]
        assert ask(ready["answers"], "health")["status"] == "ready"
        plugin.send_signal(signal.SIGINT)
        _, log = plugin.communicate(timeout=20)
        assert plugin.returncode == 0
    assert "Traceback" not in log


def test_a_port_in_use_is_one_clear_line():
    with running(ANY) as server:
        done = subprocess.run(
            [sys.executable, "-m", "gadgets", "serve", "--port", str(server.port)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in done.stderr
    assert f"--port {server.port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bus_on_the_network_without_keys_is_one_clear_line():
    with running(ANY):
        before = threading.active_count()
    done = scanside("serve", "--port", "0", "--bus", "tcp://0.0.0.0:*")
    assert done.exit_code == 1
    assert "scanside keys DIR" in done.stderr
    assert threading.active_count() <= before


def test_the_geometry_of_any_server_is_checked_by_the_simulators_own_command():
    done = subprocess.run(
        [sys.executable, "-m", "gadgets", "geometry-check", "--connect", "here"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "HOST:PORT" in done.stderr


def test_without_the_simulator_a_geometry_check_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    done = scanside("geometry-check")
    assert done.exit_code == 1
    assert "scanside[sim]" in done.stderr

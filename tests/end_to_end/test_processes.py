"""The plugin as processes of its own: started, spoken to, stopped; and as a module that Gadgetron starts."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from protocols.messages import Close, Config, Error, Header, Image, Text
from protocols.wire import Receiver, receive
from tests.peer import PATIENCE_S, opening, raw, talk, whole, wire


@pytest.fixture
def launched():
    """Start `scanside serve` and give its process and its ready line."""
    started = []

    def launch(*more):
        command = [sys.executable, "-m", "gadgets", "serve", "--port", "0", *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process, json.loads(process.stdout.readline())

    yield launch
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_plugin_cleanly_even_with_a_client_in_mid_scan(launched, number):
    process, ready = launched()
    part = raw(range(8))
    part.headers["flags"] = 0
    with socket.create_connection((ready["host"], ready["port"]), timeout=PATIENCE_S) as sock:
        sock.sendall(wire([*opening(), part]))
        messages = receive(sock.recv_into, Receiver())
        assert isinstance(next(messages), Text)  # the scan has begun
        process.send_signal(number)
        got = list(messages)
    assert isinstance(got[-1], Close)
    assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in process.stderr.read()


def test_one_client_after_another_is_archived_and_no_log_or_file_name_tells_who_the_patient_is(launched, tmp_path):
    _, ready = launched("--archive", str(tmp_path), "--log-file", str(tmp_path / "log" / "plugin.jsonl"))
    config, header, *rest = whole()
    subject = "<subjectInformation><patientName>Doe^Jane</patientName></subjectInformation>"
    root_ends = header.xml.index(">", header.xml.index("<ismrmrdHeader")) + 1
    named = Header(header.xml[:root_ends] + subject + header.xml[root_ends:])
    for _ in range(3):
        got = talk(ready["port"], [config, named, *rest])
        assert [type(m) for m in got if not isinstance(m, Text)] == [Image, Close]
    files = [path.name for path in tmp_path.glob("*.h5")]
    assert len(files) == 3
    lines = (tmp_path / "log" / "plugin.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "archived" for line in lines) == 3
    assert not [text for text in (*lines, *files) if "Doe" in text]


def test_two_plugins_on_one_port_are_told_what_to_type(launched):
    _, ready = launched()
    command = [sys.executable, "-m", "gadgets", "serve", "--port", str(ready["port"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode != 0
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def gadgetron_runs_us(messages):
    """Play Gadgetron: listen, let `python -m gadgetron` connect back, send a scan, read what comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        command = [sys.executable, "-m", "gadgetron", str(listener.getsockname()[1]), "gadgets.external", "scanside"]
        environment = os.environ | {"GADGETRON_EXTERNAL_LOG_LEVEL": "WARNING"}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE_S)
                sock.sendall(wire(messages))
                got = list(receive(sock.recv_into, Receiver()))
            _, log = process.communicate(timeout=PATIENCE_S)
    return got, process.returncode, log


CONFIGURATION = Config(
    '<?xml version="1.0"?><configuration><protocol>cartesian</protocol></configuration>', is_name=False
)


def test_gadgetron_can_run_scanside_as_a_python_module():
    got, code, log = gadgetron_runs_us([CONFIGURATION, *whole()[1:]])
    assert [type(m) for m in got] == [Image, Close]
    assert code == 0, log


def test_a_scan_that_scanside_cannot_do_reaches_gadgetron_as_error_8_and_no_text():
    unknown = Config("<configuration><protocol>cartesain</protocol></configuration>", is_name=False)
    got, code, log = gadgetron_runs_us([unknown, *whole()[1:]])
    assert [type(m) for m in got] == [Error, Close]
    assert "Did you mean 'cartesian'" in got[0].text
    assert code == 0, log


def test_a_bare_xml_declaration_from_gadgetron_leaves_the_choice_to_the_header():
    got, _, _ = gadgetron_runs_us([Config('<?xml version="1.0"?>', is_name=False), *whole()[1:]])
    assert [type(m) for m in got] == [Image, Close]
    assert got[0].meta["Scanside.Protocol"] == "cartesian"

"""The log: one line an entry, for people and for programs, and nobody's name in it."""

import json

import pytest
import structlog

from protocols import logs


@pytest.fixture
def log_file(tmp_path):
    path = tmp_path / "deep" / "scanside.log"
    logs.configure(path)
    yield path
    logs.configure(None)
    structlog.reset_defaults()


def entries(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_entry_is_a_json_line_in_the_file_and_a_readable_line_on_stderr(log_file, capsys):
    structlog.get_logger().info("client", address="127.0.0.1:5", frames=3)
    (entry,) = entries(log_file)
    assert (entry["event"], entry["level"], entry["frames"]) == ("client", "info", 3)
    assert entry["timestamp"].endswith("Z")
    written = capsys.readouterr()
    assert "client" in written.err
    assert written.out == ""  # stdout belongs to the line that says ready


@pytest.mark.parametrize("key", ["patient_name", "patientName", "PatientID", "subject", "patient_birthdate"])
def test_who_the_patient_is_is_never_logged(log_file, capsys, key):
    structlog.get_logger().warning("header", **{key: "Doe^Jane"})
    assert "Doe" not in log_file.read_text(encoding="utf-8")
    assert "Doe" not in capsys.readouterr().err


def test_an_exception_is_logged_with_its_story(log_file):
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: why" in entries(log_file)[0]["exception"]


def test_what_is_below_the_level_is_not_logged(tmp_path, capsys):
    logs.configure(None, "warning")
    structlog.get_logger().info("chatter")
    structlog.get_logger().warning("careful")
    structlog.reset_defaults()
    assert "chatter" not in (written := capsys.readouterr().err)
    assert "careful" in written


def test_a_log_file_that_cannot_be_opened_is_an_error_at_start(tmp_path):
    with pytest.raises(OSError, match="directory"):
        logs.configure(tmp_path)

"""Scans of the past, made up: records as the server gathers them."""

from dataclasses import replace

from gadgets.history.record import Record
from protocols.events import Flag, ImageReady, Quality, Severity
from protocols.scan_protocol import parse
from tests.making import TOML, scan

PROTOCOL = parse(TOML, "test.toml")
DAY_S = 86_400.0
BEGIN_S = 1_790_000_000.0


def flag(code="snr", score=30.0, severity=Severity.PASS, unit="1", **more):
    """One judgement."""
    return Flag(code=code, severity=severity, message="x", score=score, unit=unit, **more)


def record(*events, number=0, told=None, of=None, protocol=PROTOCOL):
    """One scan with its events; `told` gathers the flags about the history."""
    made = Record(of or scan(), protocol, f"c{number}", (told if told is not None else []).append)
    made.time_s = BEGIN_S + number * 600
    for event in events or (flag(), ready(), figures()):
        made.note(event)
    return made


def ready(latency_ms=4.0):
    """An image has left."""
    return ImageReady(protocol="test", series=1, index=1, slice=0, latency_ms=latency_ms, engine="linear")


def figures(**values):
    """Figures of an image."""
    return Quality(protocol="test", series=1, slice=2, figures=values or {"efc": 0.5, "fber": None}, units={"efc": "1"})


def patient():
    """A scan whose header says more than may be kept."""
    return replace(scan(), measurement_id="45321_Doe^Jane_17", protocol_name="knee of Mrs Doe", system_vendor="Acme")

"""Limits of quality judge one way, and not for ever."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.quality.image import UNITS as FIGURES
from protocols.events import Severity
from protocols.limits import UNITS, QualityLimit
from protocols.problems import ProtocolError
from protocols.scan_protocol import load_all, parse

NUMBERS = st.floats(-1e6, 1e6)
LAST_DAY = date(2026, 12, 31)


def limit(direction, value=5.0, **more):
    return QualityLimit(value=value, direction=direction, unit="1", **more)


@given(NUMBERS, NUMBERS)
def test_the_two_directions_disagree_except_at_the_limit(value, score):
    passed = {limit(way, value).judge(score) is Severity.PASS for way in ("min", "max")}
    assert passed == ({True} if score == value else {True, False})


def test_a_broken_limit_is_as_severe_as_it_says():
    assert limit("min", severity="FAIL").judge(4.9) is Severity.FAIL
    assert limit("min").judge(4.9) is Severity.WARN


@given(st.sampled_from(["min", "max"]))
def test_without_a_number_the_judgement_is_unknown_never_pass(direction):
    assert limit(direction).judge(None) is Severity.UNKNOWN
    assert limit(direction).judge(float("nan")) is Severity.UNKNOWN


@given(st.integers(-400, 400), NUMBERS)
def test_a_limit_holds_up_to_its_last_day_and_then_judges_unknown(days, score):
    today = LAST_DAY + timedelta(days)
    until = limit("min", valid_until=LAST_DAY)
    assert until.expired(today) == (days > 0)
    assert (until.judge(score, today) is Severity.UNKNOWN) == (days > 0)


def test_every_limit_that_is_shipped_is_in_the_unit_of_its_score():
    shipped = [(key, limit.unit) for protocol in load_all() for key, limit in protocol.limits.items()]
    assert not [(key, unit) for key, unit in shipped if UNITS.get(key, unit) != unit]
    assert {key for key, _ in shipped} <= set(UNITS)


def test_every_figure_of_an_image_may_be_limited_in_its_own_unit():
    assert {name: UNITS.get(name) for name in FIGURES} == dict(FIGURES)


LIMITED = """name = "a"
title = "A"
[chain]
order = ["finish"]
[limits.snr]
value = 5
direction = "min"
unit = "1"
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value = 5", "valeu = 5", "a.toml:6: limits.snr.valeu: no such key. Did you mean 'value'?"),
        ('unit = "1"', 'unit = "dB"', "a.toml:8: limits.snr.unit: got 'dB', wanted '1': the score is in this unit"),
        ("[limits.snr]", "[limits.snrr]", "a.toml:5: limits.snrr: no check has this code. Did you mean 'snr"),
        ('unit = "1"', 'unit = "1"\nvalid_until = 2026-02-30', "a.toml:9: not TOML"),
        ('unit = "1"', 'unit = "1"\nbasis = "experience"', "a.toml:9: limits.snr.basis: got 'experience', wanted"),
    ],
)
def test_a_mistake_in_a_limit_is_one_clear_error_with_its_line(old, new, told):
    with pytest.raises(ProtocolError) as caught:
        parse(LIMITED.replace(old, new), "a.toml")
    assert any(line.startswith(told) for line in str(caught.value).splitlines())

"""Limits of quality judge one way, and not for ever."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from protocols.events import Severity
from protocols.limits import QualityLimit

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

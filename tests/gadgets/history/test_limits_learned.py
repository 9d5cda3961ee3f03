"""Laws of limits learned from past scans, and of what limits would have said of them."""

import random
from datetime import date, timedelta

import pytest

from gadgets.history.fit import Fitted, Refused, Wish, fit, write
from gadgets.history.record import Past
from gadgets.history.replay import replay, verdict
from protocols.events import Severity
from protocols.limits import QualityLimit
from protocols.scan_protocol import parse
from tests.gadgets.history.past_scans import PROTOCOL
from tests.making import TOML

TODAY = date(2026, 11, 21)
WISH = Wish(0.95, 0.95, TODAY + timedelta(365), ("snr",))


def past(*scores, code="snr", broken=(), unit="1", told=None, number=1):
    return Past(
        number,
        0.0,
        "test",
        "",
        {code: scores},
        {code: unit},
        frozenset(broken),
        told or {code: len(scores)},
        {code: 5.0},
    )


def learned(pasts, wish=WISH, protocol=PROTOCOL):
    (made,) = fit(protocol, pasts, wish)
    return made


def test_the_worst_score_of_a_scan_counts_and_direction_severity_and_advice_stay():
    made = learned([past(30.0 + n, 20.0 + n) for n in range(59)])
    assert isinstance(made, Fitted)
    assert (made.limit.value, made.limit.basis, made.scans) == (20.0, "site percentile", 59)
    old = PROTOCOL.limits["snr"]
    assert (made.limit.direction, made.limit.severity, made.limit.advice) == (old.direction, old.severity, old.advice)
    assert made.limit.valid_until == TODAY + timedelta(365)


def test_of_scans_to_come_at_most_as_many_are_flagged_as_wished():
    rng, kept = random.Random(1), 0
    for _ in range(200):
        made = learned([past(rng.lognormvariate(3, 0.3)) for _ in range(120)])
        flagged = sum(made.limit.judge(rng.lognormvariate(3, 0.3), TODAY).broken for _ in range(1000))
        kept += flagged <= 50 + 20  # 5 % of 1000, and three standard deviations of such a count
    assert kept >= 0.95 * 200


def test_with_too_few_scans_it_is_refused_with_how_many_are_needed():
    made = learned([past(30.0)] * 58)
    assert isinstance(made, Refused)
    assert "got 58 clean scans with a score, wanted 59 for the 95th percentile with 95 % confidence" in made.why


def test_scans_in_which_another_limit_was_broken_teach_nothing_and_those_it_broke_itself_do():
    clean, own = [past(30.0 + n) for n in range(59)], [past(3.0, broken=["snr"])]
    other = [past(1.0, broken=["noise_covariance_outlier"])]
    assert learned(clean + other).limit.value == 30.0
    assert learned(clean + other).left_out == 1
    assert learned(clean + own).limit.value == 3.0


def test_flags_that_come_only_when_something_is_wrong_teach_no_limit():
    pasts = [past(30.0 + n) for n in range(60)] + [Past(n, 0.0, "test", "", {}, {}, frozenset()) for n in range(60)]
    made = learned(pasts)
    assert isinstance(made, Refused)
    assert "60 of 120 scans" in made.why


def test_scores_in_another_unit_are_refused():
    made = learned([past(30.0, unit="dB")] * 60)
    assert isinstance(made, Refused)
    assert "scores are in 'dB', the limit is in '1'" in made.why


@pytest.mark.parametrize("value", [0.0, 12.34567, -3.98765, 1e-7, 123456.0])
def test_rounding_a_limit_never_flags_what_it_was_learned_from(value):
    for direction in ("min", "max"):
        protocol = parse(TOML.replace('"min"', f'"{direction}"'), "test.toml")
        made = learned([past(value)] * 60, protocol=protocol)
        assert not made.limit.judge(value, TODAY).broken
        assert made.limit.value == pytest.approx(value, rel=1e-3)


def test_what_is_written_is_a_scan_protocols_limit_again():
    made = learned([past(30.0 + n) for n in range(59)])
    start, end = TOML.index("[limits.snr]"), TOML.index("[limits.noise")
    read = parse(TOML[:start] + write([made, Refused("x", "y")], WISH) + TOML[end:], "test.toml")
    assert read.limits["snr"] == made.limit


def row(pasts, code="snr", protocol=PROTOCOL, today=TODAY):
    return next(made for made in replay(protocol, pasts, today) if made.code == code)


def test_a_replay_counts_scans_by_their_worst_score_and_gives_an_interval():
    made = row([past(30.0, 4.0), past(30.0), past(29.0), past(4.9)])
    assert (made.judged[Severity.WARN], made.judged[Severity.PASS], made.flagged_then) == (2, 2, 0)
    assert made.worst == 4.0
    low, high = made.share
    assert low < 0.5 < high


def test_what_was_flagged_in_its_time_is_told_beside_what_would_be_now():
    made = row([past(30.0, broken=["snr"]), past(30.0)])
    assert (made.flagged, made.flagged_then) == (0, 1)


@pytest.mark.parametrize(
    ("limit", "scan"),
    [
        (None, past(30.0)),
        (QualityLimit(value=5, direction="min", unit="1", valid_until=TODAY - timedelta(1)), past(30.0)),
        (QualityLimit(value=5, direction="min", unit="dB"), past(30.0)),
        (QualityLimit(value=5, direction="min", unit="1"), past(told={"snr": 1})),
        (QualityLimit(value=5, direction="min", unit="1"), past(30.0, told={"snr": 2})),
    ],
)
def test_without_a_limit_in_force_for_all_that_was_told_the_word_is_unknown_never_pass(limit, scan):
    assert verdict(limit, scan, "snr", TODAY) is Severity.UNKNOWN


def test_a_code_that_has_lost_its_limit_stands_in_the_table_as_unknown():
    pasts = [past(3.0, code="efc"), past(4.0, code="efc")]
    made = row(pasts, "efc")
    assert (made.limit, made.judged[Severity.UNKNOWN]) == (None, 2)
    assert row(pasts, "any limit").judged[Severity.UNKNOWN] == 2


def test_all_limits_together_count_a_scan_once():
    both = Past(
        1, 0.0, "test", "", {"snr": [2.0], "noise_covariance_outlier": [9.0]},
        {"snr": "1", "noise_covariance_outlier": "1"}, frozenset(), {"snr": 1, "noise_covariance_outlier": 1},
    )  # fmt: skip
    assert row([both, past(30.0)], "any limit").flagged == 1

"""One word from several cues: the worst one decides, and what was not looked at is not trusted."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.unrolled.verdict import FAR, Cue, Word, excess, verdict_of
from protocols.limits import QualityLimit

NAN = float("nan")


def cue(score, value=2.0, direction="max", code="trust", **more):
    limit = QualityLimit(value=value, direction=direction, unit="1", **more)
    return Cue(code, score, limit, f"{code} is {score}")


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        ((1.0, 2.0), Word.TRUSTED),
        ((1.0, 2.01), Word.DOUBTFUL),
        ((2.9, 2.9), Word.DOUBTFUL),
        ((0.1, 2 * FAR), Word.NOT),
        ((1.0, NAN), Word.UNKNOWN),
        ((2.5, NAN), Word.DOUBTFUL),
        ((NAN, NAN), Word.UNKNOWN),
        ((), Word.UNKNOWN),
    ],
)
def test_the_word_is_that_of_the_worst_cue(scores, word):
    assert verdict_of([cue(score) for score in scores]).word is word


def test_reasons_are_the_cues_beyond_their_limits_the_worst_first():
    made = verdict_of([cue(2.1, code="a"), cue(1.0, code="b"), cue(5.0, code="c")])
    assert made.reasons == ("c is 5.0", "a is 2.1")
    assert made.excess == 2.5
    assert verdict_of([cue(1.0)]).reasons == ()


def test_a_cue_that_the_scan_protocol_does_not_ask_for_does_not_count():
    unasked = Cue("error_share", 99.0, None, "")
    assert verdict_of([cue(1.0), unasked]).word is Word.TRUSTED
    assert verdict_of([unasked]).word is Word.UNKNOWN


def test_an_expired_limit_trusts_nothing():
    assert verdict_of([cue(1.0), cue(1.0, valid_until=date(2020, 1, 1))]).word is Word.UNKNOWN
    assert verdict_of([cue(9.0, valid_until=date(2020, 1, 1))]).word is Word.UNKNOWN


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.sampled_from(["min", "max"]))
def test_a_limit_is_broken_when_more_than_all_of_it_is_taken_up(score, value, direction):
    limit = QualityLimit(value=value, direction=direction, unit="1")
    assert (excess(score, limit) > 1) == limit.judge(score).broken or score == pytest.approx(value)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5), st.floats(0, 100))
def test_another_cue_never_makes_a_verdict_better(scores, more):
    cues = [cue(score) for score in scores]
    assert verdict_of([*cues, cue(more)]).excess >= verdict_of(cues).excess

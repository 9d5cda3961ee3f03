"""Globs and ranges over headers."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.match import Match, fits
from protocols.scan import Encoding, Scan

WORDS = st.text("abAB*?[]! ", max_size=8)


def scan(**changes):
    encoding = Encoding("cartesian", (64, 64, 1), (200.0, 200.0, 5.0), (64, 64, 1), (200.0, 200.0, 5.0), {})
    return Scan(encodings=(encoding,), **changes)


@given(WORDS)
def test_everything_that_is_said_fits_a_star_and_silence_fits_nothing(text):
    assert fits(text, ("*",)) == bool(text)


@given(WORDS.filter(bool), st.lists(WORDS, max_size=3))
def test_the_last_pattern_that_fits_decides(text, before):
    assert fits(text, (*before, "*"))
    assert not fits(text, (*before, "!*"))


def test_excluding_alone_means_all_but():
    assert fits("gre", ("!pulseq*",))
    assert not fits("Pulseq gre", ("!pulseq*",))


def test_what_the_header_does_not_say_fits_no_condition():
    match = Match(field_t=(1.0, 8.0), repetitions=(1, 1), coils=(1, 128), system_vendor=("*",))
    why = match.refusals(scan())
    assert len(why) == match.conditions == 4
    assert all("got nothing" in reason for reason in why)


def test_ranges_include_both_ends():
    match = Match(field_t=(1.5, 3.0))
    assert [bool(match.refusals(scan(field_strength_t=t))) for t in (1.49, 1.5, 3.0, 3.01)] == [
        True,
        False,
        False,
        True,
    ]


def test_a_name_given_by_the_console_overrides_all_but_trajectory_and_matrix():
    match = Match(trajectory=("epi",), matrix_z=(1, 1), protocol_name=("x",), coils=(1, 1))
    assert match.refusals(scan(), by_name=True) == ["trajectory: got 'cartesian', wanted epi"]

"""Laws of the advice gadget: what follows from flags, and nothing from what is no reason."""

import numpy as np
import pytest

from gadgets.advice import advice
from protocols.advice import NAME, decode
from protocols.events import Advice, Flag, Severity
from protocols.messages import Feedback, Image, Text
from protocols.mrd import IMAGE
from tests.making import context, scan

SLICES = 8


def flag(code, slice_=None, severity=Severity.WARN, **evidence):
    where = {} if slice_ is None else {"slice": slice_, "contrast": 0, "repetition": 0}
    return Flag(code=code, severity=severity, message=f"{code} said so", evidence={**where, **evidence})


def image(slice_, *flags):
    header = np.zeros(1, IMAGE)[0]
    header["slice"] = slice_
    return Image(header, np.zeros((1, 1, 2, 2), np.uint16), flags=flags)


def said(*messages, **parameters):
    """All that is added to the stream, in threes: on the bus, as MRD 1028, in words."""
    node = advice(context(of=scan(slice=(0, SLICES - 1))), **parameters)
    added = [message for message in node(iter(messages)) if message not in messages]
    for spoken, feedback, words in zip(added[::3], added[1::3], added[2::3], strict=True):
        assert isinstance(feedback, Feedback)
        assert feedback.name == NAME
        assert decode(feedback.data) == spoken.model_copy(update={"session": ""})
        assert isinstance(words, Text)
        assert words.text.startswith("WRN advice: ")
    return [message for message in added if isinstance(message, Advice)]


def frames(made):
    return [frame.slice for frame in made.again]


@pytest.mark.parametrize("code", ["navigator_mismatch", "missing_lines", "non_finite_samples"])
def test_a_spoilt_slice_is_to_be_acquired_again(code):
    (made,) = said(flag(code, 3))
    assert (made.action, frames(made), made.because) == ("reacquire", [3], (code,))
    assert made.reason == f"{code} said so"


def test_a_flag_on_an_image_counts_as_one_in_the_stream_with_the_lines_that_will_do():
    (made,) = said(image(2, flag("missing_lines", 2, Severity.FAIL, lines=[4, 9])))
    assert (frames(made), made.again[0].steps) == ([2], (4, 9))


def test_every_advice_holds_all_frames_so_far_and_none_is_said_twice():
    made = said(flag("navigator_mismatch", 5), flag("navigator_mismatch", 5), flag("missing_lines", 1))
    assert [frames(one) for one in made] == [[5], [1, 5]]


@pytest.mark.parametrize(
    "harmless",
    [
        flag("navigator_mismatch", 3, Severity.PASS),
        flag("navigator_mismatch", 3, Severity.UNKNOWN),
        flag("zipper", 3, Severity.FAIL),
        flag("navigator_mismatch"),
        flag("snr_reached", severity=Severity.UNKNOWN),
    ],
)
def test_of_what_passes_is_unknown_or_is_another_matter_nothing_follows(harmless):
    assert said(harmless) == []


def done(count):
    return [image(n) for n in range(count)]


def test_who_stays_elsewhere_in_the_first_half_makes_the_scan_one_to_abort_and_all_is_said():
    away = flag("patient_away", severity=Severity.FAIL)
    (made,) = said(*done(SLICES // 2), away, flag("navigator_mismatch", 5))
    assert (made.action, made.again) == ("abort", ())
    assert said(*done(SLICES // 2 + 1), away) == []
    assert said(*done(SLICES // 2), away, abort_until=0.4) == []


def test_when_half_of_the_slices_are_spoilt_it_costs_less_to_start_again():
    made = said(*done(6), *(flag("navigator_mismatch", n) for n in range(4)))
    assert [one.action for one in made] == ["reacquire", "reacquire", "reacquire", "abort"]


def test_what_was_wanted_is_reached_so_it_may_stop():
    (made,) = said(flag("snr_reached", severity=Severity.PASS), flag("missing_lines", 1))
    assert made.action == "stop"

"""Laws of the mark gadget: an image says what is wrong with its raw data, once, and nothing of what is not its own."""

import numpy as np

from gadgets.raw_mark import mark
from protocols.events import Severity
from protocols.messages import Image
from protocols.mrd import IMAGE
from tests.making import context


def image(slice_=0, flags=(), **meta):
    header = np.zeros((), IMAGE)
    header["slice"] = slice_
    told = {"ImageComments": "a head", "Scanside.Flags": "none", **meta}
    return Image(header[()], np.zeros((1, 1, 2, 2), np.uint16), told, tuple(flags))


def marked(made, *images):
    return list(mark(made)(iter(images)))


def raised(made, code="spikes", severity=Severity.WARN, **evidence):
    return made.flag(code, severity, f"{code} of {evidence}", evidence=evidence)


def test_what_was_found_in_a_frame_stands_on_its_images_and_on_no_other():
    made = context()
    raised(made, slice=4, contrast=0, repetition=0, line=7)
    other, own = marked(made, image(3), image(4))
    assert other.meta == image(3).meta
    assert own.meta["ImageComments"].startswith("a head; WARN spikes: spikes of {'slice': 4")
    assert own.meta["Scanside.Flags"] == ["WARN spikes"]
    assert own.flags == ()  # it has been told already


def test_what_concerns_the_whole_scan_stands_on_every_image_coil_by_coil():
    made = context()
    raised(made, "coil_gain", coil=1)
    raised(made, "coil_gain", coil=2)
    for own in marked(made, image(0), image(1, **{"Scanside.Flags": ["WARN clipped_pixels"]})):
        assert own.meta["Scanside.Flags"][-2:] == ["WARN coil_gain", "WARN coil_gain"]
        assert own.meta["ImageComments"].count("coil_gain of") == 2
    assert own.meta["Scanside.Flags"][0] == "WARN clipped_pixels"


def test_only_the_last_word_on_a_frame_is_shown():
    made = context()
    raised(made, slice=0, lines=[1])
    raised(made, slice=0, lines=[1, 2])
    (own,) = marked(made, image())
    assert own.meta["ImageComments"] == "a head; WARN spikes: spikes of {'slice': 0, 'lines': [1, 2]}"


def test_what_passed_what_the_image_says_itself_and_opinions_on_other_images_are_not_added():
    made = context()
    raised(made, severity=Severity.PASS, slice=0)
    raised(made, severity=Severity.UNKNOWN, slice=0)
    raised(made, "snr", slice=0, image=1)
    missing = raised(made, "missing_lines", Severity.FAIL, slice=0)
    (own,) = marked(made, image(flags=[missing]))
    assert own.meta == image().meta

"""Laws of finish: size, place and scale of what a console is shown."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgets.finish import finish
from protocols.events import Flag, Severity
from protocols.messages import Image, Reconstruction
from tests.making import context, headers, scan

PAIRS = [
    ("SequenceDescriptionAdditional", "SeriesDescriptionAdditional"),
    ("ImageComments", "ImageComment"),
    ("DataRole", "GADGETRON_DataRole"),
    ("WindowCenter", "GADGETRON_WindowCenter"),
    ("EchoTime", "GADGETRON_TE"),
]


def made(pixels, **counters):
    header = headers([0], **counters)[0]
    header["position"] = (1, 2, 3)
    return Reconstruction(np.asarray(pixels, np.complex64)[None], header, 1, "fft")


def finished(messages, of=None, **parameters):
    return [m for m in finish(context(of), **parameters)(iter(messages)) if isinstance(m, Image)]


def blob(lines=16, samples=16, height=1.0):
    y, x = np.mgrid[:lines, :samples]
    return height * np.exp(-((y - 9) ** 2 + (x - 5) ** 2) / 8)


@given(st.floats(1e-6, 1e6))
def test_the_scale_of_a_series_is_set_by_its_first_image_and_kept(height):
    first, second = finished([made(blob(height=height)), made(blob(height=0.5 * height), slice=1)], scan(16, 16))
    assert 2000 < first.pixels.max() < 2200
    np.testing.assert_allclose(second.pixels, first.pixels / 2, atol=1)
    assert first.meta["Scanside.Scale"] == second.meta["Scanside.Scale"]
    assert first.meta["WindowWidth"] == second.meta["WindowWidth"]


def test_a_series_that_begins_below_the_head_gets_the_window_of_its_brightest_image_so_far():
    heights = (0.2, 1.0, 0.5)
    images = finished([made(np.full((64, 64), h), slice=n) for n, h in enumerate(heights)], scan(64, 64))
    first, *later = (float(image.meta["WindowWidth"]) for image in images)
    assert first == pytest.approx(2048, rel=0.01)
    assert later == pytest.approx([5 * 2048] * 2, rel=0.01)
    assert len({image.meta["Scanside.Scale"] for image in images}) == 1


def test_pixels_too_bright_for_the_series_are_cut_and_flagged():
    first, second = finished([made(blob()), made(blob(height=100), slice=1)], scan(16, 16))
    assert second.pixels.max() == 65535
    assert [f.code for f in second.flags] == ["clipped_pixels"]
    assert first.flags == ()


@pytest.mark.parametrize("pixels", ["uint16", "float32", "complex64"])
def test_pixels_have_the_type_that_was_asked_for(pixels):
    (image,) = finished([made(blob())], scan(16, 16), pixels=pixels)
    assert image.pixels.dtype == pixels
    assert image.header["image_type"] == (5 if pixels == "complex64" else 1)
    assert tuple(image.header["matrix_size"]) == (16, 16, 1)


def test_a_larger_recon_matrix_interpolates_and_a_smaller_field_of_view_crops():
    wide = blob(32, 16)
    (image,) = finished([made(wide)], scan(32, 16, recon=(16, 16, 1)), pixels="float32")
    np.testing.assert_allclose(image.pixels[0, 0], wide[8:24], atol=1e-5)
    of = scan(16, 16, recon=(32, 32, 1))
    encoding = of.encodings[0]
    of = replace(of, encodings=(replace(encoding, recon_fov_mm=encoding.encoded_fov_mm),))
    (image,) = finished([made(blob())], of, pixels="float32")
    assert image.pixels.shape == (1, 1, 32, 32)
    np.testing.assert_allclose(image.pixels[0, 0, ::2, ::2], blob(), atol=1e-4)


def test_contrasts_are_series_of_their_own_and_images_are_numbered_from_one():
    images = finished([made(blob(), contrast=c, slice=s) for s in range(2) for c in range(2)], scan(16, 16))
    numbers = [(int(i.header["image_series_index"]), int(i.header["image_index"])) for i in images]
    assert numbers == [(1, 1), (2, 1), (1, 2), (2, 2)]


def test_geometry_is_the_readouts_and_every_meta_pair_has_both_spellings():
    of = scan(16, 16)
    of = replace(of, te_ms=(4.0, 9.0))
    (image,) = finished([made(blob(), contrast=1)], of)
    assert tuple(image.header["position"]) == (1, 2, 3)
    assert tuple(image.header["read_dir"]) == (1, 0, 0)
    for one, other in PAIRS:
        assert image.meta[one] == image.meta[other]
    assert image.meta["EchoTime"] == "9"
    assert [float(v) for v in image.meta["ImageColumnDir"]] == [0, 1, 0]
    assert image.meta["Keep_image_geometry"] == "1"


def test_what_is_wrong_with_an_image_stands_in_words_in_the_comment_that_consoles_show():
    (clean,) = finished([made(blob())], scan(16, 16))
    assert clean.meta["ImageComments"] == "Scanside: not for diagnosis"
    flags = [
        Flag(code=f"check_{severity.value.lower()}", severity=severity, message="slice 3") for severity in Severity
    ]
    (marked,) = finished([replace(made(blob()), flags=tuple(flags))], scan(16, 16))
    broken = [f"{word} check_{word.lower()}: slice 3" for word in ("WARN", "FAIL", "UNKNOWN")]
    comment = "; ".join(["Scanside: not for diagnosis", *broken])
    assert {marked.meta[name] for name in ("ImageComments", "ImageComment", "GADGETRON_ImageComment")} == {comment}

"""Pictures of the report: which scouts, what is seen of them, and no face of a test subject."""

import numpy as np

from engines.positioning.scout import Scout
from protocols.stack import Stack, centres_mm
from trt_build.landmarks.judge import Judged
from trt_build.landmarks.overlays import Chosen, chosen, outlined, seen_in


def row(case, number, mm, status="OK"):
    return Judged(case, "somebody", 10.0, {"brain_axial": status}, (), mm=mm, number=number)


def test_the_median_and_the_worst_accepted_are_shown():
    rows = [row("MNI template", number, mm) for number, mm in enumerate((0.4, 3.0, 0.5))]
    rows += [row("MNI template", 3, 9.0, "REVIEW"), row("three planes", 7, 1.0)]
    made = chosen(rows)
    assert Chosen("median", "MNI template", 2) in made
    assert Chosen("worst accepted", "MNI template", 1) in made
    assert Chosen("test heads, worst accepted", "three planes", 7) in made
    assert all(one.number != 3 for one in made)


def test_a_stack_is_outlined_by_its_ends_and_its_middle():
    stack = Stack(
        centre_mm=(1, 2, 3), read_dir=(1, 0, 0), phase_dir=(0, 1, 0), slice_dir=(0, 0, 1), field_of_view_mm=(200, 200),
        thickness_mm=4.0, gap_mm=1.0, slices=30,
    )  # fmt: skip
    np.testing.assert_allclose(centres_mm(outlined(stack))[[0, 2]], centres_mm(stack)[[0, 29]])


def scout():
    """A dot at (20, -30, 10) mm."""
    pixels = np.zeros((40, 40, 40), np.float32)
    affine = np.diag((4.5, 4.5, 4.5, 1.0))
    affine[:3, 3] = -90.0
    x, y, z = np.round((np.array((20, -30, 10)) + 90.0) / 4.5).astype(int)
    pixels[z, y, x] = 1.0
    return Scout(pixels, affine, None, "HFS", (0.0, 0.0, 0.0), "", 0.0)


def test_a_view_shows_what_lies_there_where_it_lies():
    for view in seen_in(scout(), (20.0, -30.0, 10.0)):
        brightest = np.unravel_index(np.nanargmax(view.pixels), view.pixels.shape)[::-1]
        np.testing.assert_allclose(brightest, view.on_picture(np.array((20.0, -30.0, 10.0))), atol=2.0)


def test_where_nothing_was_measured_a_view_lies_just_beside():
    sparse = scout()
    sparse.pixels[:] = np.nan
    sparse.pixels[24] = 2.0  # 18 mm
    axial = seen_in(sparse, (0.0, 0.0, 10.0))[0]
    assert np.nanmax(axial.pixels) == 2.0
    assert abs(axial.grid.position_mm[2] - 18.0) <= 2.5

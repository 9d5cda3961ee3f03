"""Laws of the brain alone: it turns as it was turned, whatever coils see, and is not asked where T1 is not seen."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.model import load_model
from engines.positioning.grid import Sheet
from engines.positioning.laid import laid
from engines.positioning.pose import Pose
from engines.positioning.settle import aimed
from engines.positioning.stripped import Part, Stripper, packed_stripper, stripper_of
from engines.positioning.template import template_of
from tests.engines.positioning.test_laid import TRUE, beside, scout


@pytest.fixture(scope="module")
def template():
    return template_of(load_model("head_landmarks"))


def part(stripper, deg, brain=0):
    """A brain that is sought, turned, sized and shifted, in another contrast, and the way brains differ in noise."""
    turn = Rotation.from_rotvec(deg, degrees=True).as_matrix()
    values = stripper.sought[brain].ravel()[stripper.around].astype(np.float64) ** 1.5
    values = values * (1 + 0.2 * np.random.default_rng(0).standard_normal(len(values)))
    return turn, Part(1.03 * stripper.places_mm @ turn.T + np.array((1.0, -2.0, 1.5)), values)


def only(template, brain):
    return Stripper(template.mean, template.stripper.sought[brain : brain + 1], template.stripper.layers)


def degrees(one, other):
    return np.rad2deg(Rotation.from_matrix(one.T @ other).magnitude())


@pytest.mark.parametrize("deg", [(0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (-2.0, 1.5, 1.0)])
@pytest.mark.parametrize("brain", [0, 1])
def test_a_brain_is_turned_as_it_was_turned(template, deg, brain):
    turn, seen = part(template.stripper, deg, brain)
    assert degrees(only(template, brain).turn(seen), turn) < 0.2


def test_of_two_brains_the_turn_is_the_mean(template):
    _, seen = part(template.stripper, (3.0, 0.0, 0.0))
    one, other = (only(template, brain).turn(seen) for brain in (0, 1))
    middle = one @ Rotation.from_rotvec(Rotation.from_matrix(one.T @ other).as_rotvec() / 2).as_matrix()
    assert degrees(template.stripper.turn(seen), middle) < 0.4


def test_the_brain_alone_is_found_in_a_scout_and_nothing_beside_it(template):
    found = laid(Sheet(scout(template.mean)), template.mean, beside(TRUE, 3.0, 3.0))
    seen = template.stripper.part(Sheet(scout(template.mean)), found).values
    share = template.mean.share.ravel()[template.stripper.around]
    assert np.median(seen[share > 0.95]) > 0.3
    assert np.median(seen[share < 0.05]) < 0.03


def test_what_coils_see_more_of_changes_no_brain(template):
    shaded, even = (Sheet(scout(template.mean, shade=shade, snr=30.0)) for shade in (True, False))
    found = laid(even, template.mean, beside(TRUE, 3.0, 3.0))
    one, other = (template.stripper.part(sheet, found).values for sheet in (shaded, even))
    assert np.corrcoef(one, other)[0, 1] > 0.98
    assert degrees(aimed(template, shaded, found).turn, aimed(template, even, found).turn) < 0.3


def test_a_contrast_that_is_not_that_of_t1_leaves_directions_to_the_mean_head(template):
    sheet = Sheet(scout(template.mean, contrast="turned over"))
    found = laid(sheet, template.mean, beside(TRUE, 3.0, 3.0))
    made = aimed(template, sheet, found).turn
    np.testing.assert_array_equal(made, aimed(replace(template, stripper=None), sheet, found).turn)


def test_a_turn_that_is_too_far_is_not_believed(template):
    sheet = Sheet(scout(template.mean))
    found = laid(sheet, template.mean, beside(TRUE, 3.0, 3.0))
    tipped = found.posed.turn @ Rotation.from_rotvec((12.0, 0.0, 0.0), degrees=True).as_matrix()
    wrong = replace(found, posed=Pose(tipped, found.posed.scale, found.posed.shift_mm))
    made = aimed(template, sheet, wrong).turn
    np.testing.assert_array_equal(made, aimed(replace(template, stripper=None), sheet, wrong).turn)


def test_a_file_holds_the_same_stripper(template):
    again = stripper_of(packed_stripper(template.stripper), template.mean)
    np.testing.assert_array_equal(again.sought, template.stripper.sought)
    for one, other in zip(again.layers, template.stripper.layers, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])

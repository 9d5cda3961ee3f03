"""Laws of how a head has moved since a scout of slices, by slices of any contrast that cross them."""

import numpy as np
import pytest

from engines.model import load_model
from engines.positioning.brain import brain_in
from engines.positioning.crossing import Slices, moved_between
from engines.positioning.gather import gathered
from engines.positioning.grid import Sheet
from engines.positioning.scout import bare
from engines.positioning.template import template_of
from hw_sim.devices import AT_REST, Pose
from hw_sim.head import mni_head
from hw_sim.truth import true_stack
from protocols.geometry import Grid, lps_from_pixel
from tests.engines.positioning.test_rigid import T1
from tests.engines.positioning.test_since import FLAIR, MOVED, PLAN, T2, near_a_coil, slices

PLANES = ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 0, 1), (0, -1, 0)), ((0, 1, 0), (0, 0, 1), (1, 0, 0))


def localizer(noise=0.02):
    """Five slices of each plane, 20 mm apart."""
    chance = np.random.default_rng(3)
    for directions in PLANES:
        for number in range(-2, 3):
            middle = tuple(20.0 * number * np.array(directions[2]))
            grid = Grid((80, 80, 1), (240.0, 240.0, 6.0), middle, *directions)
            places = lps_from_pixel(grid, np.moveaxis(np.indices(grid.matrix), 0, -1)).transpose(2, 1, 0, 3)
            seen = mni_head().image(places, lambda tissue: T1.get(tissue.name, 0.0)) * near_a_coil(places)
            yield np.abs(seen + np.float32(noise) * chance.standard_normal(seen.shape)).astype(np.float32), grid


@pytest.fixture(scope="module")
def scout():
    return Slices(tuple(localizer()))


@pytest.fixture(scope="module")
def stack():
    return true_stack("mni", PLAN, AT_REST)


@pytest.fixture(scope="module")
def brain(scout, stack):
    """Where the scout's slices lie on one grid, and which of its voxels are brain."""
    sheet = Sheet(bare(*gathered(scout.slabs)))
    return sheet, brain_in(sheet, template_of(load_model("head_landmarks")), PLAN, stack)


@pytest.mark.parametrize(
    ("contrast", "pose"), [(T1, AT_REST), (T2, MOVED), (FLAIR, MOVED), (T1, Pose(turn_deg=(0.0, 0.0, 14.0)))]
)
def test_lines_on_which_slices_cross_tell_where_the_head_has_gone_in_any_contrast(scout, stack, brain, contrast, pose):
    found = moved_between([*slices(stack, pose, contrast)], scout, *brain)
    assert np.linalg.norm(found.to_now(np.zeros(3)) - pose.to_patient(np.zeros(3))) < 1.0
    assert found.angle_deg == pytest.approx(np.linalg.norm(pose.turn_deg), abs=0.8)
    assert found.likeness > 0.5


def test_slices_that_lie_beside_one_another_or_show_no_brain_tell_nothing(scout, stack, brain):
    seen = [*slices(stack, AT_REST, T1)]
    sheet, counts = brain
    assert moved_between(seen, Slices(scout.slabs[:5]), sheet, counts).likeness == 0.0
    assert moved_between(seen, scout, sheet, np.zeros_like(counts)).likeness == 0.0
    noise = np.random.default_rng(2)
    dark = [(noise.random(pixels.shape, np.float32), grid) for pixels, grid in seen]
    assert moved_between(dark, scout, sheet, counts).likeness < 0.4

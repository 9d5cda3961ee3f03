"""Laws of how a head has moved since a scout, by slices of any contrast, in spite of the coils' shading."""

import numpy as np
import pytest

from engines.model import load_model
from engines.positioning.brain import brain_in
from engines.positioning.grid import Sheet
from engines.positioning.rigid import Points
from engines.positioning.since import beneath, moved_since, points_in
from engines.positioning.template import template_of
from hw_sim.devices import AT_REST, Pose
from hw_sim.head import mni_head
from hw_sim.truth import true_stack
from protocols.geometry import Grid, lps_from_pixel
from protocols.stack import centres_mm
from tests.engines.positioning.test_rigid import T1, off, scout

PLAN = "brain_axial"
T2 = {"white": 0.2, "grey": 0.35, "csf": 0.7, "fat": 0.1, "muscle": 0.1, "gel": 0.3}
FLAIR = {"white": 0.6, "grey": 0.9, "csf": 0.05, "fat": 0.8, "muscle": 0.3, "gel": 0.5}
MOVED = Pose((5.0, 2.0, -4.0), (4.0, -3.0, 3.0))


def near_a_coil(places):
    """Brightness that falls to a fifth from the front of the head to its middle, and stays where it is."""
    return (0.2 + np.exp((np.linalg.norm(places, axis=-1) - 100) / 20)).astype(np.float32)


def slices(stack, pose, contrast, noise=0.02):
    """Every other slice of a stack, of a head in a pose."""
    chance = np.random.default_rng(4)
    for centre in centres_mm(stack)[::2]:
        grid = Grid(
            (80, 80, 1), (*stack.field_of_view_mm, stack.thickness_mm), tuple(centre),
            stack.read_dir, stack.phase_dir, stack.slice_dir,
        )  # fmt: skip
        places = lps_from_pixel(grid, np.moveaxis(np.indices(grid.matrix), 0, -1)).transpose(2, 1, 0, 3)
        seen = mni_head().image(pose.to_patient(places), lambda tissue: contrast.get(tissue.name, 0.0))
        noisy = seen * near_a_coil(places) + np.float32(noise) * chance.standard_normal(seen.shape)
        yield np.abs(noisy).astype(np.float32), grid


@pytest.fixture(scope="module")
def template():
    return template_of(load_model("head_landmarks"))


@pytest.fixture(scope="module")
def sheet():
    made = scout(noise=0.02)
    index = np.moveaxis(np.indices(made.pixels.shape)[::-1], 0, -1)
    made.pixels[:] *= near_a_coil(index @ made.affine[:3, :3].T + made.affine[:3, 3])
    return Sheet(made)


@pytest.fixture(scope="module")
def brain(sheet, template):
    return brain_in(sheet, template, PLAN, true_stack("mni", PLAN, AT_REST))


def test_the_brain_is_found_from_where_a_plan_lies_and_nothing_where_there_is_no_head(sheet, template, brain):
    clean = scout(contrast={"white": 1.0, "grey": 1.0}).pixels > 0.5
    assert 2 * (brain & clean).sum() / (brain.sum() + clean.sum()) > 0.85
    stack = true_stack("mni", PLAN, AT_REST)
    assert brain_in(sheet, template, "no_such_plan", stack) is None
    assert brain_in(Sheet(scout(contrast={}, noise=1.0)), template, PLAN, stack) is None


@pytest.mark.parametrize("contrast", [T2, FLAIR])
def test_slices_tell_where_the_head_has_gone_in_any_contrast_through_the_shading_of_coils(sheet, brain, contrast):
    stack = true_stack("mni", PLAN, AT_REST)
    found = moved_since(points_in(slices(stack, MOVED, contrast)), sheet, brain)
    assert np.linalg.norm(found.to_now(np.zeros(3)) - MOVED.to_patient(np.zeros(3))) < 0.8
    assert abs(found.angle_deg - np.linalg.norm(MOVED.turn_deg)) < 0.6
    assert found.likeness > 0.6


def test_without_a_brain_what_lies_deep_is_compared_and_what_shows_nothing_of_it_is_unlike(sheet, brain):
    stack = true_stack("mni", PLAN, AT_REST)
    seen = points_in(slices(stack, AT_REST, T1))
    assert max(off(moved_since(seen, sheet, beneath(sheet, 20.0)), AT_REST)) < 1.0
    noise = Points(seen.places_mm, np.random.default_rng(2).random(len(seen.values), np.float32))
    assert moved_since(noise, sheet, brain).likeness < 0.4
    assert moved_since(seen, sheet, np.zeros_like(brain)).likeness == 0.0

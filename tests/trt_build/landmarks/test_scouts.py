"""Laws of what landmarks are learned from: truth lies where the picture shows it, whatever pose, bend and contrast."""

from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from engines.positioning.pose import Pose
from trt_build.landmarks.drawn import CONTROL, Grid, HeadPose, draw_head
from trt_build.landmarks.examples import example_of
from trt_build.landmarks.eyes import find_eye
from trt_build.landmarks.heads import NAMES, Subject, extents, template_mm
from trt_build.landmarks.scouts import BAD, Ranges, simulate, turned

SIDE, VOXEL_MM = 100, 2.0
GRID = Grid((56, 56, 56), np.full(3, 4.5), np.zeros(3))


def ball_head(marks=()):
    """A ball of white matter in a file of its own, brighter at some landmarks."""
    affine = np.diag((VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0))
    affine[:3, 3] = -VOXEL_MM * SIDE / 2 + np.array((3.0, -5.0, 7.0))
    places = np.stack(np.meshgrid(*(np.arange(SIDE),) * 3, indexing="ij"), -1) @ affine[:3, :3].T + affine[:3, 3]
    pose = Pose(np.eye(3), 0.9, np.array((2.0, 1.0, -3.0)))
    there = pose.to_scanner(template_mm())
    away = np.linalg.norm(places - pose.to_scanner(np.array((0.0, 18.0, 5.0))), axis=-1)
    t1 = np.where(away < 75, 0.4, 0.0)
    for mark in marks:
        t1 += 0.5 * np.exp(-0.5 * (np.linalg.norm(places - there[NAMES.index(mark)], axis=-1) / 4) ** 2)
    brain = (away < 65).astype(np.float32)
    return Subject(
        "ball",
        t1.clip(0, 1).astype(np.float32),
        brain,
        np.maximum(away - 65, 0).astype(np.float32),
        (0.2, 0.4, 0.6),
        affine,
        there,
        pose,
    )


def lies(subject, angles=(0.3, -0.2, 0.4), bend=2.0):
    chance = np.random.default_rng(3)
    bent = bend * chance.standard_normal((3, CONTROL, CONTROL, CONTROL))
    shape = np.diag((1.05, 0.95, 1.0)) / subject.pose.scale
    return HeadPose(turned(np.array(angles)), np.array((12.0, -9.0, 15.0)), shape, bent)


@pytest.mark.parametrize("name", ["genu", "hippocampus_head_left"])
def test_a_landmark_is_drawn_where_the_truth_says(name):
    subject = ball_head([name])
    pose = lies(subject)
    drawn = draw_head(subject, GRID, pose, np.random.default_rng(0), own_face=False, natural=True)
    plain = draw_head(ball_head(), GRID, pose, np.random.default_rng(0), own_face=False, natural=True)
    mark = np.abs(drawn.image - plain.image)
    z, y, x = ndimage.center_of_mass(mark**2)
    found = [axis[0] + at * (axis[1] - axis[0]) for axis, at in zip(GRID.axes_mm(), (x, y, z), strict=True)]
    np.testing.assert_allclose(found, drawn.places_mm[NAMES.index(name)], atol=1.5)


@pytest.mark.parametrize("bad", BAD)
def test_in_a_bad_scout_nothing_is_present(bad):
    made = simulate(ball_head(), np.random.default_rng(1), Ranges(), bad)
    assert made.bad == bad
    assert not made.present.any()
    assert np.isfinite(made.scout.pixels[np.isfinite(made.scout.pixels)]).all()


def test_what_lies_beyond_the_scout_is_not_present():
    made = simulate(ball_head(), np.random.default_rng(2), Ranges(slices=0.0, fov_mm=(100.0, 100.0), shift_mm=60), "")
    inverse = np.linalg.inv(made.scout.affine)
    at = made.places_mm @ inverse[:3, :3].T + inverse[:3, 3]
    outside = ((at < -0.5) | (at > np.array(made.scout.pixels.shape[::-1]) - 0.5)).any(1)
    assert outside.any()
    assert not made.present[outside].any()


def test_the_same_example_comes_whenever_it_is_asked_for():
    one, other = (example_of([ball_head()], 1, 5, Ranges()) for _ in range(2))
    assert all(np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one)


def test_an_eyeball_is_found_between_voxels_and_where_there_is_none_none_is():
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    places = np.stack(np.meshgrid(*(np.arange(60),) * 3, indexing="ij"), -1) * 2.0
    middle = np.array((61.3, 58.9, 60.6))
    away = np.linalg.norm(places - middle, axis=-1)
    chance = np.random.default_rng(0)
    fluid = np.where(away < 12, 0.3, 0.9) + 0.02 * chance.standard_normal(away.shape)
    found = find_eye(fluid.astype(np.float32), affine, 1.0, middle + np.array((5, -4, 6)))
    assert np.linalg.norm(found - middle) < 1.0
    assert find_eye(np.full(away.shape, 0.9, np.float32), affine, 1.0, middle) is None


def test_a_brain_ends_where_its_outermost_points_are():
    points = np.array(list(product(np.linspace(-60, 60, 13), np.linspace(-80, 80, 17), np.linspace(-50, 50, 11))))
    left, right, front, back, top, bottom = extents(points)
    assert (left[0], right[0], front[1], back[1], top[2], bottom[2]) == (60, -60, -80, 80, 50, -50)

"""Laws of finding: poses are recovered, pixels lie where their affine says, and what is no head is none."""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from engines.engine import open_engine
from engines.model import load_model
from engines.positioning.find import find, look, told
from engines.positioning.gather import affine_of, gathered
from engines.positioning.grid import FAR_MM, FAR_SHAPE, NEAR_MIDDLE_MM, NEAR_MM, NEAR_SHAPE, Sheet, far, lattice, near
from engines.positioning.pose import Pose, fitted
from engines.positioning.prescribe import prescribe
from engines.positioning.scout import Scout, bare
from engines.positioning.template import template_of
from protocols.anatomy import find_anatomy
from protocols.geometry import Grid, rotation_of

SPOT_MM = np.array((21.0, -34.0, 15.0))
TURNED = rotation_of((0.1, -0.2, 0.15, 1.0))


def scout(pixels, affine, **more):
    given = {"noise": None, "patient_position": "HFS", "table_position_mm": (0.0, 0.0, 0.0), "measurement_id": "scout"}
    return Scout(pixels.astype(np.float32), affine, time_s=0.0, **{**given, **more})


def spot(affine, shape, width_mm=8.0):
    """A bright spot (z, y, x) at SPOT_MM."""
    places = np.indices(shape)[::-1].reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    return np.exp(-0.5 * (np.linalg.norm(places - SPOT_MM, axis=1) / width_mm) ** 2).reshape(shape)


def centre(seen, places):
    """Where the brightness of a view lies."""
    weights = seen[0, 0] ** 2
    return (weights[..., None] * places).reshape(-1, 3).sum(0) / weights.sum()


def affine(axes, voxel_mm=4.5, size=56):
    made = np.eye(4)
    made[:3, :3] = axes * voxel_mm
    made[:3, 3] = -made[:3, :3] @ np.full(3, size / 2)
    return made


AXES = {
    "straight": np.eye(3),
    "other order": np.eye(3)[[2, 0, 1]],
    "flipped": np.diag((-1.0, 1, -1)),
    "oblique": TURNED,
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_a_spot_is_seen_where_it_lies_whatever_the_axes_of_the_scout(axes):
    seen = Sheet(scout(spot(affine(axes), (56, 56, 56)), affine(axes)))
    found = centre(far(seen), lattice(FAR_SHAPE, FAR_MM)) + seen.middle_mm
    np.testing.assert_allclose(found, SPOT_MM, atol=1.0)  # voxels of 12 mm


def test_near_is_seen_as_the_template_lies():
    pose = Pose(TURNED, 0.9, np.array((5.0, -6.0, 7.0)))
    places = lattice(NEAR_SHAPE, NEAR_MM) + np.array(NEAR_MIDDLE_MM)
    seen = near(Sheet(scout(spot(affine(np.eye(3)), (56, 56, 56)), affine(np.eye(3)))), pose)
    np.testing.assert_allclose(pose.to_scanner(centre(seen, places)), SPOT_MM, atol=0.6)


def test_what_was_not_measured_is_told_from_what_is_dark():
    pixels = np.zeros((56, 56, 56))
    pixels[:, :, 28:] = np.nan
    seen = far(Sheet(scout(pixels, affine(np.eye(3)))))
    assert seen[0, 1, 12, 12, 8] == pytest.approx(1.0, abs=0.05)
    assert seen[0, 1, 12, 12, 16] == pytest.approx(0.0, abs=0.05)
    assert np.isfinite(seen).all()


def test_small_voxels_are_averaged_and_stay_where_they_are():
    fine = affine(np.eye(3), voxel_mm=1.5, size=80)
    seen = Sheet(scout(spot(fine, (80, 80, 80)), fine))
    assert seen.pixels.shape == (40, 40, 40)
    np.testing.assert_allclose(centre(far(seen), lattice(FAR_SHAPE, FAR_MM)) + seen.middle_mm, SPOT_MM, atol=1.0)


def test_slices_of_three_planes_meet_on_one_grid():
    straight = np.eye(3)
    slabs = []
    for number in range(3):
        read, phase, slice_ = (straight[(number + step) % 3] for step in range(3))
        position = tuple(slice_ * (SPOT_MM @ slice_))
        grid = Grid((80, 80, 1), (240.0, 240.0, 6.0), position, tuple(read), tuple(phase), tuple(slice_))
        slabs.append((spot(affine_of(grid), (1, 80, 80)).astype(np.float32), grid))
    pixels, made = gathered(slabs)
    brightest = np.unravel_index(np.nanargmax(pixels), pixels.shape)[::-1]
    np.testing.assert_allclose(made[:3, :3] @ brightest + made[:3, 3], SPOT_MM, atol=4.0)
    assert 0.02 < np.isfinite(pixels).mean() < 0.2


def test_a_volume_stays_as_it_is():
    grid = Grid((40, 30, 20), (160.0, 120.0, 80.0), (3.0, 4.0, 5.0), *map(tuple, TURNED.T.tolist()))
    pixels, made = gathered([(np.ones((20, 30, 40), np.float32), grid)])
    assert pixels.shape == (20, 30, 40)
    np.testing.assert_allclose(made[:3, :3] @ (20, 15, 10) + made[:3, 3], (3, 4, 5), atol=1e-9)


def test_a_pose_is_fitted_and_one_wild_point_hardly_moves_it():
    chance = np.random.default_rng(0)
    points = chance.uniform(-40, 40, (10, 3))
    true = Pose(TURNED, 1.1, np.array((10.0, 20.0, -30.0)))
    found = true.to_scanner(points)
    exact = fitted(points, found, np.ones(10), 2.0)
    np.testing.assert_allclose(exact.turn, TURNED, atol=1e-6)
    assert exact.scale == pytest.approx(1.1)
    np.testing.assert_allclose(exact.to_template(found), points, atol=1e-6)
    found[3] += 60.0
    robust = fitted(points, found, np.ones(10), 2.0)
    assert np.linalg.norm(robust.to_scanner(points[0]) - true.to_scanner(points[0])) < 2.0


def test_a_pose_never_mirrors():
    points = np.random.default_rng(1).uniform(-40, 40, (10, 3))
    made = fitted(points, points * (-1, 1, 1), np.ones(10), 2.0)
    assert np.linalg.det(made.turn) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def shipped():
    model = load_model("head_landmarks")
    with ExitStack() as stack:
        yield (
            template_of(model),
            *(stack.enter_context(open_engine(model, "openvino", graph=g)) for g in ("model", "near")),
        )


def ball(chance):
    z, y, x = np.indices((56, 56, 56)) - 28
    return 1.0 * (x**2 + y**2 + z**2 < 20**2) + 0.05 * np.abs(chance.standard_normal((56, 56, 56)))


THINGS = {
    "nothing": lambda _: np.zeros((56, 56, 56)),
    "noise": lambda chance: np.abs(chance.standard_normal((56, 56, 56))),
    "a bottle": ball,
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_where_there_is_no_head_nothing_is_prescribed(shipped, thing):
    found = find(scout(thing(np.random.default_rng(0)), affine(np.eye(3))), *shipped)
    assert found.refused
    body = find_anatomy("head")
    made = [prescribe(body, plan, found, 1.0) for plan in body.plans]
    assert {one.status for one in made} == {"REFUSED"}
    assert all(found.refused[0] in one.reasons for one in made)


def test_landmarks_that_the_networks_alone_tell_of_come_with_a_doubt(shipped):
    template = shipped[0]
    head = bare(template.mean.values, template.mean.affine)
    seen = look(head, *shipped)
    assert seen.lies is not None
    assert told(head, seen, template).doubts == ()
    (doubt,) = told(head, replace(seen, lies=None, aims=None), template).doubts
    assert doubt.startswith("unregistered: ")

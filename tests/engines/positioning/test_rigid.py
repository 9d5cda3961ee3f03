"""Laws of how a head has moved: found again within a millimetre and a degree, whatever contrast and shading do."""

import numpy as np
import pytest

from engines.positioning.rigid import STILL, Moved, Points, aligned, points_of
from engines.positioning.scout import Scout
from hw_sim.devices import AT_REST, Pose
from hw_sim.head import mni_head

STEP_MM = 5.0
SHAPE = (48, 56, 48)  # z, y, x
T1 = {"white": 1.0, "grey": 0.7, "csf": 0.3, "fat": 2.0, "muscle": 0.6, "gel": 1.2}
OTHER = {"white": 0.5, "grey": 0.8, "csf": 1.0, "fat": 0.1, "muscle": 0.4, "gel": 1.0}


def scout(pose=AT_REST, contrast=T1, *, shaded=False, noise=0.0, step_mm=STEP_MM, shape=SHAPE):
    """A head in a pose, on a grid about the isocentre."""
    affine = np.diag((step_mm, step_mm, step_mm, 1.0))
    affine[:3, 3] = -step_mm * (np.array(shape[::-1]) - 1) / 2
    index = np.indices(shape)[::-1]
    places = np.moveaxis(index, 0, -1) * step_mm + affine[:3, 3]
    pixels = mni_head().image(pose.to_patient(places), lambda tissue: contrast.get(tissue.name, 0.0))
    if shaded:  # fixed in space, as coils are
        x, y, z = np.moveaxis(places / 100, -1, 0)
        pixels = pixels * (1 + 0.3 * x - 0.2 * y + 0.15 * z + 0.25 * x**2 + 0.2 * y * z).astype(np.float32)
    pixels = pixels + np.float32(noise) * np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    return Scout(pixels.astype(np.float32), affine, noise or None, "HFS", (0.0, 0.0, 0.0), "scout", 0.0)


def off(found, pose):
    """Millimetres at the middle of the head, and degrees, by which a motion is missed."""
    middle = np.zeros(3)
    turn = (pose.from_patient(np.eye(3)) - np.array(pose.shift_mm)).T
    rest = Moved(found.turn @ turn.T, np.zeros(3))
    return float(np.linalg.norm(found.to_now(middle) - pose.from_patient(middle))), rest.angle_deg


@pytest.mark.parametrize(("turn", "angle"), [((0, 0, 0), 0.0), ((3, 0, 0), 3.0), ((0, -120, 0), 120.0)])
def test_the_angle_of_a_turn_is_its_angle(turn, angle):
    turned = (Pose(turn_deg=turn).from_patient(np.eye(3))).T
    assert Moved(turned, np.zeros(3)).angle_deg == pytest.approx(angle, abs=1e-6)
    assert STILL.distance_mm(np.array((1.0, 2.0, 3.0))) == 0.0


@pytest.mark.parametrize(
    "pose", [Pose(), Pose((4.0, -3.0, 2.0), (2.0, 3.0, -4.0)), Pose((-12.0, 8.0, 5.0), (8.0, -5.0, 9.0))]
)
def test_a_head_that_moved_between_two_scouts_is_found_again_though_the_shading_stays(pose):
    then = points_of(scout(shaded=True, noise=0.03))
    mm, deg = off(aligned(then, scout(pose, shaded=True, noise=0.03)), pose)
    assert mm < 0.7
    assert deg < 0.6


def test_what_is_no_such_head_is_unlike_it():
    noise = scout(contrast={}, noise=1.0)
    assert aligned(points_of(scout()), noise).likeness < 0.3
    elsewhere = Points(np.full((200, 3), 1e4), np.ones(200, np.float32))
    assert aligned(elsewhere, scout()).likeness == 0.0

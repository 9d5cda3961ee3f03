"""What is calibrated holds: trust goes to the better way, regions hold nine of ten, axes are of reference poses."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.model import load_model
from engines.positioning.laid import Laid
from engines.positioning.pose import Pose
from engines.positioning.settle import settled
from engines.positioning.template import template_of
from trt_build.landmarks.calibrate import MAIN, Met, calibrated
from trt_build.landmarks.judge import reference_frame

TURN = Rotation.from_euler("xyz", (12.0, 5.0, -8.0), degrees=True).as_matrix()
POSE = Pose(TURN, 1.1, np.array((3.0, 4.0, 5.0)))


@pytest.fixture(scope="module")
def template():
    return template_of(load_model("head_landmarks"))


def met(template, registration_mm, networks_mm, count=400, case=MAIN, contrast=0.5, seed=0):
    """Scouts in which either way errs by as much along each axis."""
    chance = np.random.default_rng(seed)
    shape = template.laid_mm.shape
    still = np.zeros((template.mean.lattice.size, 3))
    rows = []
    for _ in range(count):
        lies = Laid(template.mean, POSE, POSE.scale * POSE.turn, POSE.shift_mm, still, 1.0, 1.0, contrast)
        true = POSE.to_scanner(template.laid_mm + registration_mm * chance.standard_normal(shape))
        networks = true + 1.1 * networks_mm * chance.standard_normal(shape)
        rows.append(Met(case, lies, POSE, networks, np.ones(len(true)), true, TURN))
    return rows


def held(made, rows):
    """Share of the places that their 90 % regions hold."""
    marks = list(made.landmarks())
    inside = []
    for row in rows:
        places, covariance = settled(made, row.lies, row.aims, row.networks_mm, row.present)
        off = np.linalg.norm(places - row.true_mm, axis=1)
        inside.append(off <= made.factors * np.sqrt(np.diag(covariance).reshape(-1, 3).sum(axis=1)))
    return np.mean(np.array(inside)[:, marks])


def test_the_way_that_errs_less_is_trusted_more(template):
    marks = list(template.landmarks())
    assert (calibrated(met(template, 0.5, 2.0), template).trust[marks] > 0.8).all()
    assert (calibrated(met(template, 2.0, 0.5), template).trust[marks] < 0.2).all()


def test_regions_hold_nine_of_ten(template):
    rows = met(template, 1.0, 1.5)
    assert held(calibrated(rows, template), rows) == pytest.approx(0.9, abs=0.02)


def test_regions_are_wider_where_the_scout_tells_that_it_is_of_another_kind(template):
    rows = met(template, 1.0, 1.5)
    strange = met(template, 2.5, 3.5, 200, "any contrast", -0.4, 1) + met(template, 1.0, 1.5, 200, "any contrast", -0.4)
    made = calibrated(rows + strange, template)
    assert held(made, rows) == pytest.approx(0.9, abs=0.02)
    assert held(made, strange) == pytest.approx(0.9, abs=0.03)
    assert made.doubts["unlike"][0] > 0.5  # what both ways say differs more where they err more
    assert "part" not in made.doubts


def test_the_directions_of_the_reference_pose_are_nearly_those_of_the_template():
    frame = reference_frame()
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(frame[0], (1, 0, 0), atol=1e-9)  # left
    assert frame[1] @ (0, -1, 0) > np.cos(np.deg2rad(15))  # anterior
    assert frame[2] @ (0, 0, 1) > np.cos(np.deg2rad(15))

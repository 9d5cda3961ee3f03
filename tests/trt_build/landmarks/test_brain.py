"""Laws of how the brain alone is learned: layers make what they were shown, and a drift that is found is taken away."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.model import load_model
from engines.positioning.laid import Laid
from engines.positioning.pose import Pose
from engines.positioning.stripped import Stripper
from engines.positioning.template import template_of
from trt_build.landmarks import brain


@pytest.fixture(scope="module")
def template():
    return template_of(load_model("head_landmarks"))


def example(template, stripper, wanted, turn):
    """A scout of the mean head that lies straight, in which the brain is as wanted, and how it should be turned."""
    still = np.zeros((template.mean.lattice.size, 3))
    lies = Laid(template.mean, Pose(np.eye(3), 1.0, np.zeros(3)), np.eye(3), np.zeros(3), still, 1.0, 1.0, 0.5)
    seen = wanted[stripper.inner]
    shown = np.stack((seen, np.ones_like(seen)), axis=1).astype(np.float32)
    return brain._Example(lies, shown, wanted.astype(np.float32), turn)


def test_what_is_wanted_is_learned_and_its_drift_taken_away(template, monkeypatch):
    monkeypatch.setattr(brain, "TRAIN_STEPS", 600)
    sought = template.stripper.sought[:1]
    plain = Stripper(template.mean, sought, ())
    turn = Rotation.from_euler("x", 2.0, degrees=True).as_matrix()
    chance = np.random.default_rng(0)
    wanted = sought[0].ravel()[plain.around] * (1 + 0.2 * chance.standard_normal(len(plain.around)))
    examples = [example(template, plain, wanted, turn)]
    layers = brain._trained(examples, plain)
    made = Stripper(template.mean, sought, layers)
    off = made.values(examples[0].shown)[plain.inner] - np.maximum(wanted[plain.inner], 0)
    assert np.sqrt((off**2).mean()) < 0.02
    drift = brain._drift(examples, made)
    assert np.rad2deg(Rotation.from_matrix(drift.T @ turn).magnitude()) < 0.2
    again = Stripper(template.mean, brain._turned(sought[0], template, drift)[None], layers)
    rest = brain._drift(examples, again)
    assert np.rad2deg(Rotation.from_matrix(rest).magnitude()) < 0.2


def test_the_template_of_the_reference_poses_is_symmetric_and_lies_where_brain_is(template):
    made = brain._symmetric(template)
    assert np.abs(made - made[..., ::-1]).max() < 0.05
    assert np.median(made[template.mean.share > 0.95]) > 0.4
    assert made[template.mean.share < 0.01].mean() < 0.02

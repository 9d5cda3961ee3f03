"""Training is the same whenever it is run, mirror images swap sides, and what is exported is what was trained."""

import numpy as np
import pytest
import torch

from engines.positioning.grid import FAR_SHAPE
from trt_build.landmarks.export import Answer
from trt_build.landmarks.heads import NAMES
from trt_build.landmarks.training import Plan, answers, mirrored, train

COUNT = 4


@pytest.fixture(scope="module")
def known():
    chance = np.random.default_rng(0)
    return {
        "far_seen": chance.integers(0, 200, (COUNT, 2, *FAR_SHAPE), np.uint8),
        "far_places": chance.uniform(-80, 80, (COUNT, len(NAMES), 3)).astype(np.float32),
        "far_present": np.array([[True] * len(NAMES)] * 3 + [[False] * len(NAMES)]),
        "far_bad": np.array([0, 0, 0, 1], np.uint8),
    }


def test_the_same_plan_makes_the_same_network(known):
    one, other = (train(known, "far", Plan(steps=1, batch=1))[0].state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_what_is_exported_is_what_was_trained(known):
    network, _ = train(known, "far", Plan(steps=1, batch=1))
    seen = torch.rand(1, 2, *FAR_SHAPE)
    with torch.no_grad():
        places, off, present, plausible, _ = network(seen)
        made = Answer(network, "far").eval()(seen)
    for got, wanted in zip(made, (places, off.exp(), present.sigmoid(), plausible.sigmoid()), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-3, atol=1e-3)
    assert answers(network, known, "far")["places"].shape == (COUNT, len(NAMES), 3)


def test_in_a_mirror_image_left_is_right(known):
    rows = np.zeros(64, np.intp)
    seen, places, _, _ = mirrored(known, "far", rows, torch.Generator().manual_seed(0))
    straight = torch.from_numpy(known["far_places"][0])
    turned = [n for n in range(64) if not torch.equal(places[n], straight)]
    assert 16 < len(turned) < 48
    plain = next(n for n in range(64) if n not in turned)
    left, right = NAMES.index("eye_left"), NAMES.index("eye_right")
    torch.testing.assert_close(places[turned[0], left], straight[right] * torch.tensor((-1.0, 1, 1)))
    torch.testing.assert_close(seen[turned[0]], seen[plain].flip(3))

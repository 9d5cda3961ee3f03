"""Laws of plainness: an even body with sharp edges is too plain, one with grain or without an edge is not."""

import numpy as np
import pytest

from engines.artefacts.plain import plain

CHANCE = np.random.default_rng(3)


def body(grain, side=128):
    """A disc with a smaller one in it, shaded as by coils; `grain` by its brightness, a 32nd of the side wide."""
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    even = (np.hypot(y, x) < 0.8) * 1.0 + 0.6 * (np.hypot(y - 0.2, x) < 0.3)
    wide = np.kron(CHANCE.standard_normal((32, 32)), np.ones((side // 32, side // 32)))
    return even * (1 + 0.2 * y) * (1 + grain * wide) + 0.01 * np.abs(CHANCE.standard_normal((side, side)))


@pytest.mark.parametrize("side", [128, 192, 256, 512])
def test_an_even_body_is_too_plain_at_any_brightness_and_one_with_grain_is_not_in_any_matrix(side):
    for bright in (1e-6, 1.0, 2048.0):
        assert plain(bright * body(0.0, side)).too_plain
    assert not plain(body(0.2, side)).too_plain


def test_of_next_to_nothing_nothing_is_said():
    assert plain(np.zeros((64, 64))) is None
    small = np.zeros((64, 64))
    small[30:36, 30:36] = 1
    assert plain(small) is None

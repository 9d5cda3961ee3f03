"""Laws of symmetry: who moves between the halves of a frame is told with how far, and who lies still is not."""

import numpy as np
import pytest

from engines.quality.symmetry import halves
from tests.engines.coils import head, noise_like

SIZE = 128
EVERY = np.ones(SIZE, bool)


def spectrum(image):
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))


def torn(down=0.0, right=0.0, bend=1.0, seed=1, since=SIZE // 2 + 13):
    """A head with a smooth phase, as little noise as a good scan has, displaced in the lines from `since` on."""
    steps = (np.arange(SIZE) - SIZE // 2) / SIZE
    phase = np.exp(1j * bend * (2 * steps[:, None] ** 2 + 3 * steps - 4 * steps[:, None] * steps))
    lines = spectrum(head(SIZE, SIZE) * phase)
    ramp = np.exp(-2j * np.pi * (np.arange(SIZE)[:, None] - SIZE // 2) * down / SIZE) * np.exp(
        -2j * np.pi * (np.arange(SIZE) - SIZE // 2) * right / SIZE
    )
    moved = np.where(np.arange(SIZE)[:, None] >= since, lines * ramp, lines)
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(moved)))
    return (image + 0.01 * noise_like(image.shape, seed)).astype(np.complex64)


@pytest.mark.parametrize("bend", [0.0, 1.0, 3.0])
def test_an_object_that_lies_still_has_halves_that_agree_whatever_its_smooth_phase(bend):
    found = halves(torn(bend=bend), EVERY)
    assert found.smooth > 0.9
    assert found.mismatch < 0.05


@pytest.mark.parametrize(("down", "right"), [(3.0, 0.0), (-2.0, 0.0), (0.0, 2.0), (0.0, -4.0), (2.0, -2.0)])
def test_a_displacement_between_the_halves_is_told_with_its_direction_and_length(down, right):
    found = halves(torn(down, right), EVERY)
    assert found.mismatch > 0.5
    assert (found.along_phase, found.along_read) == (pytest.approx(down, abs=0.5), pytest.approx(right, abs=0.5))


def test_noise_alone_and_a_phase_that_jumps_at_every_pixel_are_no_motion():
    assert halves(noise_like((SIZE, SIZE)), EVERY).mismatch == 0
    chance = np.random.default_rng(1)
    rough = torn() * np.exp(2j * np.pi * chance.random((SIZE, SIZE))).astype(np.complex64)
    assert halves(rough, EVERY).smooth < 0.5


def test_lines_that_lack_a_side_or_the_centre_tell_nothing():
    one_side, gap, sparse = EVERY.copy(), EVERY.copy(), EVERY.copy()
    one_side[: SIZE // 4], gap[SIZE // 2 + 3], sparse[1::4] = False, False, False
    assert [halves(torn(), acquired) for acquired in (one_side, gap, sparse)] == [None, None, None]

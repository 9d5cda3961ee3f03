"""Which frames a network was made for: every bound of its card counts, and nothing is guessed."""

from dataclasses import replace

import numpy as np
import pytest

from engines.card import Range
from engines.unrolled.scope import Facts, acceleration_of, facts_of, outside
from tests.engines.unrolled.scene import LINES, every
from trt_build.report.masks import acquired_lines

CARD = Range(
    acceleration=(2, 8), coils=(4, 32), matrix=(64, 512), snr=(4, 80), calibration_lines=(12, 40), contrast=("T1",)
)
GOOD = Facts(4.0, 16, (256, 192), 30.0, 24, partial_fourier=False)


def test_a_frame_within_the_card_is_one_for_the_network():
    assert outside(GOOD, CARD) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"acceleration": 1.0}, "R 1, made for 2 to 8"),
        ({"acceleration": 12.0}, "R 12"),
        ({"coils": 2}, "coils 2, made for 4 to 32"),
        ({"matrix": (256, 1024)}, "matrix 256 x 1.02e+03"),
        ({"snr": 2.5}, "SNR 2.5, made for 4 to 80"),
        ({"snr": float("nan")}, "SNR nan"),
        ({"calibration_lines": 4}, "calibration lines 4"),
        ({"partial_fourier": True}, "partial Fourier"),
    ],
)
def test_what_lies_outside_is_named_with_both_numbers(change, told):
    (reason,) = outside(replace(GOOD, **change), CARD)
    assert told in reason


@pytest.mark.parametrize("step", [2, 3, 4, 8])
@pytest.mark.parametrize("calibration", [0, 24])
def test_the_acceleration_is_the_step_of_the_grid(step, calibration):
    assert acceleration_of(every(step, calibration=calibration)) == step


def test_without_a_grid_the_acceleration_is_all_lines_by_acquired_ones():
    mask = np.zeros(LINES, np.bool_)
    mask[np.random.default_rng(0).permutation(LINES)[:24]] = True
    assert acceleration_of(mask) == 4.0
    assert acceleration_of(np.ones(LINES, np.bool_)) == 1.0


@pytest.mark.parametrize("step", [3, 4, 6, 8])
def test_a_network_for_lines_drawn_by_chance_is_shown_frames_of_them(step):
    for seed in range(20):
        mask = acquired_lines(256, step, "random", seed)
        assert 2 <= acceleration_of(mask) <= 8
        assert not facts_of(np.ones((8, 8), np.complex64), np.ones((8, 8), np.bool_), mask, 8, 24).partial_fourier


def test_a_lost_line_does_not_double_the_acceleration():
    mask = every(8)
    mask[np.flatnonzero(mask)[2]] = False
    assert acceleration_of(mask) < 8


def test_facts_are_taken_from_frame_and_linear_image():
    inside = np.zeros((LINES, LINES), np.bool_)
    inside[20:60, 20:60] = True
    mask = every(4)
    half = mask & (np.arange(LINES) < 0.7 * LINES)
    facts = facts_of((inside * 25).astype(np.complex64), inside, mask, 8, 24)
    assert facts == Facts(4.0, 8, (LINES, LINES), 25.0, 24, partial_fourier=False)
    assert facts_of(inside.astype(np.complex64), inside, half, 8, 24).partial_fourier

"""Sensitivity maps from calibration lines are those of the coils, by Walsh's way and by ESPIRiT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear import espirit
from engines.linear.errors import LinearError
from engines.linear.espirit import espirit_maps, espirit_maps_and_values
from engines.linear.maps import bounding_box, calibration_block, low_resolution, support, walsh_maps
from engines.linear.resample import coarse_grid, upsample
from tests.engines.coils import head, hybrid_space, noise_like, unit_maps

N, FIRST = 96, 36
TRUTH = unit_maps(8, N, N)
OBJECT = 30 * head(N, N)
INSIDE = np.abs(OBJECT) > 1


def calibration(snr=1.0):
    full = hybrid_space(TRUTH * OBJECT) * snr
    return full[:, FIRST : FIRST + 24] + noise_like((8, 24, N))


def alikeness(maps, truth=TRUTH):
    """|<S, S'>| per pixel: 1 where they are equal but for a phase common to all coils."""
    return np.abs((maps.conj() * truth).sum(0))


@pytest.mark.parametrize(
    ("estimate", "worst", "mean"), [(walsh_maps, 0.98, 0.999), (espirit_maps, 0.999, 0.9999)], ids=["walsh", "espirit"]
)
def test_maps_are_those_of_the_coils_wherever_there_is_signal(estimate, worst, mean):
    alike = alikeness(estimate(calibration(), N, FIRST))[INSIDE]
    assert alike.min() > worst
    assert alike.mean() > mean


@pytest.mark.parametrize("estimate", [walsh_maps, espirit_maps])
def test_maps_have_unit_power_in_every_pixel_and_a_smooth_phase(estimate):
    maps = estimate(calibration(), N, FIRST)
    assert maps.dtype == np.complex64
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(0), 1, atol=1e-4)
    steps = np.abs(np.diff(maps, axis=1)).max(0)
    assert steps[INSIDE[1:] & INSIDE[:-1]].max() < 0.1


@pytest.mark.parametrize("estimate", [walsh_maps, espirit_maps])
def test_a_turn_of_the_objects_phase_does_not_turn_the_maps(estimate):
    lines = calibration()
    np.testing.assert_allclose(estimate(lines * np.exp(2j), N, FIRST), estimate(lines, N, FIRST), atol=5e-3)


def test_espirit_maps_from_the_leading_eigenvectors_are_those_from_all_of_them(monkeypatch):
    lines, sizes, real = calibration(), [], np.linalg.eigh

    def noting(matrix):
        sizes.append(len(matrix))
        return real(matrix)

    monkeypatch.setattr(np.linalg, "eigh", noting)
    some = espirit_maps(lines, N, FIRST)
    assert max(sizes) < 100
    monkeypatch.setattr(espirit, "SUBSPACE", (1, 0.0))  # which cannot hold them
    whole = espirit_maps(lines, N, FIRST)
    assert max(sizes) > 200
    np.testing.assert_allclose(some[:, INSIDE], whole[:, INSIDE], atol=1e-3)


def test_walsh_maps_continue_smoothly_outside_the_head():
    maps = walsh_maps(calibration(), N, FIRST)
    rim = ~INSIDE
    assert alikeness(maps)[rim].mean() > 0.8


def test_the_espirit_eigenvalue_is_one_where_there_is_signal_and_less_where_there_is_none():
    _, values = espirit_maps_and_values(calibration(), N, FIRST)
    assert values[INSIDE].min() > 0.98
    assert values[:6, :6].max() < 0.95


@pytest.mark.parametrize("estimate", [walsh_maps, espirit_maps])
@pytest.mark.parametrize("count", [11, 12, 24])
def test_any_number_of_calibration_lines_odd_or_even_keeps_the_centre(estimate, count):
    first = N // 2 - count // 2
    full = hybrid_space(TRUTH * OBJECT)[:, first : first + count]
    assert alikeness(estimate(full, N, first))[INSIDE].mean() > 0.99


def test_the_support_holds_the_head_and_leaves_out_the_corners():
    mask = support(calibration(), N, FIRST, noise_std=1)
    assert mask[INSIDE].all()
    assert not mask[:6, :6].any()
    rows, columns = bounding_box(mask)
    assert mask[rows, columns].sum() == mask.sum()
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 0.95 * N * N


def test_noise_alone_does_not_make_a_support():
    with_knowledge = support(calibration(snr=0.25), N, FIRST, noise_std=1)
    without = support(calibration(snr=0.25), N, FIRST)
    assert with_knowledge.mean() < without.mean()
    assert not with_knowledge[:6, :6].any()


def test_the_box_of_an_empty_mask_is_the_whole_matrix():
    assert bounding_box(np.zeros((5, 7), np.bool_)) == (slice(0, 5), slice(0, 7))


@given(st.integers(0, 3), st.integers(0, 3), st.integers(1, 4), st.integers(1, 4))
def test_the_box_is_the_smallest_one(top, left, height, width):
    mask = np.zeros((9, 9), np.bool_)
    mask[top : top + height, left : left + width] = True
    assert bounding_box(mask) == (slice(top, top + height), slice(left, left + width))


def test_low_resolution_images_have_the_pixels_of_the_full_ones():
    smooth = np.ones((1, N, N), np.complex64) * np.exp(2j * np.pi * 3 * np.arange(N) / N)[:, None]
    low = low_resolution(hybrid_space(smooth)[:, FIRST : FIRST + 24], N, FIRST, (32, 32))
    np.testing.assert_allclose(low, smooth[:, ::3, ::3], atol=1e-4)


@pytest.mark.parametrize("points", [8, 31, 32])
def test_a_smooth_function_survives_the_coarse_grid(points):
    y, x = coarse_grid(96, points), coarse_grid(80, points)
    coarse = np.exp(1j * (y[:, None] / 60 + x / 50))
    fine = np.exp(1j * (np.arange(96)[:, None] / 60 + np.arange(80) / 50))
    error = np.abs(upsample(coarse, 96, 80) - fine)
    inner = error[int(y[0]) : int(y[-1]) + 1, int(x[0]) : int(x[-1]) + 1]
    assert inner.max() < 2e-2


@pytest.mark.parametrize("estimate", [walsh_maps, espirit_maps])
def test_calibration_lines_without_signal_are_refused(estimate):
    with pytest.raises(LinearError, match="zero or not finite"):
        estimate(np.zeros((4, 12, 32), np.complex64), 32, 10)


def test_calibration_lines_outside_the_matrix_or_too_few_are_refused():
    with pytest.raises(LinearError, match="24 lines from 80"):
        calibration_block(calibration(), N, 80)
    with pytest.raises(LinearError, match="at least 6 x 6"):
        espirit_maps(calibration()[:, :5], N, FIRST)


def test_calibration_lines_too_large_for_single_precision_are_refused_by_espirit():
    with pytest.raises(LinearError, match="not finite"), np.errstate(all="ignore"):
        espirit_maps(calibration() * np.float32(1e25), N, FIRST)

"""Partial Fourier beats zero filling where the phase is smooth, and touches nothing where it need not."""

import numpy as np
import pytest

from engines.linear.errors import LinearError
from engines.linear.fourier import to_image, to_kspace
from engines.linear.partial_fourier import complete, homodyne, missing_part, pocs
from tests.engines.coils import head, noise_like, nrmse
from trt_build.report.masks import acquired_lines

N = 128
OBJECT = head(N, N)


def partial(share, at_start=True):
    mask = np.ones(N, np.bool_)
    left_out = round(N * (1 - share))
    mask[slice(0, left_out) if at_start else slice(N - left_out, N)] = False
    return mask


@pytest.mark.parametrize("method", [pocs, homodyne])
@pytest.mark.parametrize("share", [0.625, 0.75])
@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_object_of_smooth_phase_comes_out_better_than_zero_filled(method, share, at_start, axis):
    mask = partial(share, at_start)
    kspace = to_kspace(OBJECT, axis) * (mask[:, None] if axis == 0 else mask)
    missing = missing_part(mask)
    zero_filled = nrmse(np.abs(to_image(kspace, axis)), np.abs(OBJECT))
    assert nrmse(np.abs(method(kspace, missing, axis)), np.abs(OBJECT)) < 0.6 * zero_filled


def test_pocs_keeps_every_acquired_line():
    mask = partial(0.7)
    kspace = to_kspace(OBJECT, 0) * mask[:, None]
    filled = to_kspace(pocs(kspace, missing_part(mask), 0), 0)
    np.testing.assert_allclose(filled[mask], kspace[mask], atol=1e-4)


@pytest.mark.parametrize("method", ["pocs", "homodyne"])
def test_an_image_is_completed_as_its_lines_ask_for(method):
    mask = partial(0.625)
    zero_filled = to_image(to_kspace(OBJECT, 0) * mask[:, None], 0)
    assert nrmse(np.abs(complete(zero_filled, mask, method)), np.abs(OBJECT)) < 0.6 * nrmse(
        np.abs(zero_filled), np.abs(OBJECT)
    )


def test_an_image_sampled_to_both_ends_comes_back_untouched():
    image = noise_like((N, N))
    undersampled = np.arange(N) % 4 == 2
    assert complete(image, undersampled) is image
    assert complete(image, partial(0.6), "zero_filled") is image


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [(range(3, 16), slice(0, 3)), (range(12), slice(12, 16)), (range(5, 16, 2), slice(0, 5)), (range(1, 16, 2), None),
     (range(16), None), (range(2, 14), None)],
)  # fmt: skip
def test_the_part_left_out_on_purpose_is_told_from_undersampling(lines, wanted):
    assert missing_part(np.isin(np.arange(16), lines)) == wanted


@pytest.mark.parametrize("acceleration", [2, 4, 8])
def test_lines_drawn_by_chance_are_no_partial_fourier_unless_one_side_is_left_out(acceleration):
    told, cut_told = 0, 0
    for seed in range(100):
        mask = acquired_lines(256, acceleration, "random", seed)
        told += missing_part(mask) is not None
        cut_told += missing_part(mask & (np.arange(256) < 150)) is not None
    assert told <= 2
    assert cut_told >= (99 if acceleration < 8 else 0)  # of one line in eight too few lie far out to tell


def test_lines_without_the_centre_or_without_symmetry_are_refused():
    with pytest.raises(LinearError, match="the centre 8"):
        missing_part(np.arange(16) > 9)
    with pytest.raises(LinearError, match="the centre 8"):
        missing_part(np.zeros(16, np.bool_))
    with pytest.raises(LinearError, match="symmetric lines"):
        pocs(noise_like((16,)), slice(0, 8), 0)

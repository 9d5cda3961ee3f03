"""GRAPPA fills in lines, whatever the number of lines, and leaves what was acquired alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.combine import adaptive, rss
from engines.linear.errors import LinearError
from engines.linear.fourier import to_image
from engines.linear.grappa import fill_lines, fit_grappa, sampling_grid
from tests.engines.coils import head, hybrid_space, loop_coils, noise_like, nrmse, unit_maps

FIRST, COUNT = 36, 24


def embedded(lines, acceleration, first):
    mask = np.zeros(lines, np.bool_)
    mask[first::acceleration] = True
    mask[FIRST : FIRST + COUNT] = True
    return mask


@pytest.mark.parametrize(
    ("lines", "acceleration", "first", "limit"),
    [(96, 2, 0, 0.02), (96, 3, 1, 0.03), (97, 3, 2, 0.03), (96, 4, 3, 0.06)],
)
def test_a_phantom_seen_by_smooth_coils_is_filled_in(lines, acceleration, first, limit):
    maps, image = unit_maps(12, lines, 64), head(lines, 64)
    full = hybrid_space(maps * image)
    mask = embedded(lines, acceleration, first)
    weights = fit_grappa(full[:, FIRST : FIRST + COUNT], acceleration, regularisation=1e-6)
    filled = fill_lines(weights, full * mask[:, None], mask)
    assert nrmse(adaptive(to_image(filled, 1), maps), image) < limit
    assert nrmse(filled, full) < 0.5 * nrmse(full * mask[:, None], full)


def test_acquired_lines_stay_as_they_are():
    full = noise_like((4, 96, 32))
    mask = embedded(96, 3, 0)
    filled = fill_lines(fit_grappa(full[:, FIRST : FIRST + COUNT], 3), full * mask[:, None], mask)
    np.testing.assert_array_equal(filled[:, mask], full[:, mask])
    assert np.abs(filled[:, ~mask]).min() > 0


def test_it_works_when_the_field_of_view_is_smaller_than_the_object():
    # every second line of a matrix twice as tall is a field of view of half the size: the head folds over itself
    coils = loop_coils(12, 192, 64) * head(192, 64)
    folded = hybrid_space(coils)[:, ::2]
    mask = embedded(96, 2, 0)
    weights = fit_grappa(folded[:, FIRST : FIRST + COUNT], 2, regularisation=1e-6)
    filled = to_image(fill_lines(weights, folded * mask[:, None], mask), 1)
    assert nrmse(rss(filled), rss(to_image(folded, 1))) < 0.03


def test_a_long_step_takes_fewer_source_lines_rather_than_failing():
    assert len(fit_grappa(noise_like((3, 24, 16)), 8).sources) == 2
    assert len(fit_grappa(noise_like((3, 24, 16)), 4).sources) == 4


def test_a_fully_sampled_frame_needs_no_filling():
    full = noise_like((4, 96, 32))
    weights = fit_grappa(full[:, FIRST : FIRST + COUNT], 2)
    np.testing.assert_array_equal(fill_lines(weights, full, np.ones(96, np.bool_)), full)


@given(st.integers(2, 8), st.integers(40, 100), st.data())
def test_the_grid_under_the_calibration_lines_is_found(acceleration, lines, data):
    first = data.draw(st.integers(0, acceleration - 1))
    mask = np.arange(lines) % acceleration == first
    mask[lines // 2 - 4 : lines // 2 + 4] = True
    assert sampling_grid(mask) == (acceleration, first)


def test_what_is_no_grid_or_does_not_fit_is_refused():
    lines = noise_like((3, 24, 16))
    with pytest.raises(LinearError, match="every R-th line"):
        sampling_grid(np.isin(np.arange(20), [0, 3, 5, 9, 10, 16]))
    with pytest.raises(LinearError, match="at least 25"):
        fit_grappa(lines, 24)
    with pytest.raises(LinearError, match="2 or more"):
        fit_grappa(lines, 1)
    with pytest.raises(LinearError, match="zero or not finite"):
        fit_grappa(np.zeros_like(lines), 2)
    with pytest.raises(LinearError, match="3 apart, the weights are for 2"):
        fill_lines(fit_grappa(lines, 2), noise_like((3, 30, 16)), np.arange(30) % 3 == 0)

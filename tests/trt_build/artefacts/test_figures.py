"""Figures of scores: what they are by definition, and that a bound on them holds what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trt_build.artefacts import figures
from trt_build.artefacts.figures import auroc, calibration_error, interval

SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


@given(SCORES)
def test_auroc_is_how_often_an_image_with_it_scores_above_one_without_and_ties_count_half(pairs):
    scores, truths = np.array([s for s, _ in pairs], float), np.array([t for _, t in pairs])
    yes, no = scores[truths], scores[~truths]
    if len(yes) and len(no):
        wins = (yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean()
        assert auroc(scores, truths) == pytest.approx(wins)
    else:
        assert np.isnan(auroc(scores, truths))


def test_probabilities_that_hold_have_no_calibration_error_and_exaggerated_ones_their_exaggeration():
    chance = np.random.default_rng(0)
    probabilities = chance.uniform(0, 1, 40_000)
    truths = chance.random(40_000) < probabilities
    assert calibration_error(probabilities, truths) < 0.01
    assert calibration_error(np.full(40_000, 0.9), truths) == pytest.approx(0.4, abs=0.01)


def test_the_interval_of_a_figure_holds_it_and_is_wider_where_images_come_in_groups(monkeypatch):
    monkeypatch.setattr(figures, "DRAWS", 100)
    chance = np.random.default_rng(1)
    truths = chance.random(200) < 0.3
    scores = truths + chance.normal(0, 1, 200)
    low, high = interval(auroc, scores, truths, np.arange(200))
    assert low < auroc(scores, truths) < high
    doubled = [np.repeat(values, 4) for values in (scores, truths)]
    alone, grouped = (interval(auroc, *doubled, groups) for groups in (np.arange(800), np.repeat(np.arange(200), 4)))
    assert grouped[1] - grouped[0] > 1.5 * (alone[1] - alone[0])

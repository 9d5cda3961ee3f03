"""Laws of the drift tests: false alarms no more often than stated, whatever the distribution, and early alarms."""

import math
import random
from statistics import median

import pytest

from engines.quality.cusum import (
    BASELINE,
    Level,
    Share,
    hits_run_length,
    hits_threshold,
    run_length,
    threshold,
)

FIGURES = {
    "normal": lambda r: r.gauss(30, 2),
    "lognormal": lambda r: r.lognormvariate(0, 1),
    "Cauchy": lambda r: math.tan(math.pi * (r.random() - 0.5)),
    "nearly always zero": lambda r: float(r.random() < 0.1),
}


def alarms(watch, values):
    return [(n, alarm) for n, value in enumerate(values) if (alarm := watch.add(value)) is not None]


def test_siegmunds_run_length_agrees_with_sums_of_normal_values():
    rng, height, lengths = random.Random(1), 4.0, []
    for _ in range(400):
        total, n = 0.0, 0
        while total <= height:
            total, n = max(0.0, total + rng.gauss(0, 1) - 0.5), n + 1
        lengths.append(n)
    assert sum(lengths) / len(lengths) == pytest.approx(run_length(height), rel=0.15)


@pytest.mark.parametrize("per_10000", [1, 10, 50])
def test_the_threshold_has_the_stated_rate_on_both_sides_together(per_10000):
    assert 2 * 10_000 / run_length(threshold(per_10000)) == pytest.approx(per_10000)


@pytest.mark.parametrize("name", FIGURES)
def test_false_alarms_are_no_more_than_stated_whatever_the_distribution(name):
    rng, stated = random.Random(2), 20
    found = len(alarms(Level(stated), (FIGURES[name](rng) for _ in range(30_000))))
    assert found <= 3 * stated + 3 * math.sqrt(3 * stated)
    if name != "nearly always zero":
        assert found >= 3 * stated - 4 * math.sqrt(3 * stated)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_shift_of_two_standard_deviations_is_found_within_twenty_scans_in_either_direction(sign):
    found = []
    for seed in range(50):
        rng = random.Random(seed)
        values = [rng.gauss(30, 2) for _ in range(200)] + [rng.gauss(30 + sign * 4, 2) for _ in range(20)]
        found += [(n, alarm) for n, alarm in alarms(Level(1), values) if n >= 200]
    assert len(found) == 50
    assert median(n - 200 for n, _ in found) <= 8
    assert abs(median(alarm.since for _, alarm in found) - 200) <= 2
    assert median(alarm.normal for _, alarm in found) == pytest.approx(30, abs=0.2)
    assert median(alarm.far for _, alarm in found) == pytest.approx(2 * sign, abs=0.4)


def test_what_an_alarm_says_does_not_depend_on_the_unit():
    rng = random.Random(5)
    values = [rng.gauss(30, 2) for _ in range(100)] + [rng.gauss(36, 2) for _ in range(30)]
    ((at, plain),) = alarms(Level(1), values)
    ((again, scaled),) = alarms(Level(1), [8 * value for value in values])
    assert (at, plain.since, plain.far) == (again, scaled.since, pytest.approx(scaled.far))
    assert scaled.now == 8 * plain.now


def test_the_first_scans_teach_and_alarm_nobody_and_after_an_alarm_the_new_level_is_normal():
    assert not alarms(Level(1), [1.0] * (BASELINE // 2) + [9.0] * (BASELINE // 2))
    rng = random.Random(3)
    values = [rng.gauss(0, 1) for _ in range(100)] + [rng.gauss(8, 1) for _ in range(400)]
    assert len(alarms(Level(1), values)) == 1


def test_a_figure_that_never_changes_has_no_distance_but_its_change_is_found():
    ((_, alarm),) = alarms(Level(1), [0.0] * 100 + [1.0] * 30)
    assert (alarm.normal, alarm.now, alarm.far, alarm.since) == (0.0, 1.0, None, 100)


@pytest.mark.parametrize(("share", "step"), [(0.02, 23), (0.06, 10), (0.3, 3)])
def test_the_run_length_of_hits_agrees_with_scans_drawn_at_random(share, step):
    rng, height, lengths = random.Random(4), 3 * step, []
    for _ in range(300):
        total, n = 0, 0
        while total < height:
            total, n = max(0, total + (step - 1 if rng.random() < share else -1)), n + 1
        lengths.append(n)
    assert sum(lengths) / len(lengths) == pytest.approx(hits_run_length(share, step, height), rel=0.2)
    least = hits_threshold(share, step, 5)
    assert hits_run_length(share, step, least) >= 2000 > hits_run_length(share, step, least - 1)


def test_a_share_of_flags_as_tolerated_alarms_no_more_often_than_stated_and_a_risen_one_soon():
    rng, stated = random.Random(6), 20
    assert len(alarms(Share(stated), (rng.random() < 0.02 for _ in range(30_000)))) <= 3 * stated
    delays = []
    for _ in range(40):
        scans = [rng.random() < 0.01 for _ in range(100)] + [rng.random() < 0.5 for _ in range(60)]
        delays += [n - 100 for n, _ in alarms(Share(1), scans)][:1]
    assert len(delays) == 40
    assert sorted(delays)[20] <= 20


def test_a_larger_drift_is_found_sooner():
    lengths = [run_length(threshold(1), shift) for shift in (0, 0.5, 1, 2)]
    assert lengths == sorted(lengths, reverse=True)


def test_where_nearly_every_scan_is_flagged_no_rise_is_looked_for_until_they_are_fewer():
    rng = random.Random(7)
    assert not alarms(Share(1), [True] * 500)
    scans = [True] * 100 + [rng.random() < 0.02 for _ in range(100)] + [True] * 10
    assert len(alarms(Share(1), scans)) == 1

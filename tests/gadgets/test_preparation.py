"""Inverses are made while the frame is still coming, once a slice, and let go when nobody needs them."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

import engines.unrolled.prepared
import gadgets.preparation
from engines.unrolled.trust import withheld_lines
from gadgets.preparation import Preparations
from protocols.messages import Calibrated
from tests.engines.unrolled.scene import STRENGTH, every, make_scene, strength_of
from tests.making import context, scan

MASK = every(4)


@pytest.fixture
def scene():
    return make_scene(MASK)


@contextmanager
def one_worker():
    """A worker whose errands are all done when the block ends."""
    with ThreadPoolExecutor(1) as workers:
        yield workers
        for _ in range(3):  # what a calibration sets off, sets off more
            workers.submit(int).result()


def preparations(workers, *, series):
    of = scan(repetition=(0, 3 if series else 0))
    return Preparations(replace(context(of), workers=workers), 0.03, 0.3)


def foreseen(made, calibration):
    result = Future()
    made.foresee(Calibrated(0, result), STRENGTH)
    result.set_result(calibration)


@pytest.mark.parametrize("series", [True, False])
def test_the_inverse_is_there_when_its_frame_comes(scene, series):
    with one_worker() as workers:
        made = preparations(workers, series=series)
        foreseen(made, scene.calibration)
    ready = made.of(0, scene.calibration, MASK, STRENGTH)
    assert ready.problem is not None
    assert (ready.predictor is not None) == series
    made.used(0)
    assert (made.of(0, scene.calibration, MASK, STRENGTH) is ready) == series


def test_a_frame_of_a_series_waits_for_the_inverse_that_is_on_its_way(scene):
    with one_worker() as workers:
        begin = Event()
        workers.submit(begin.wait)
        made = preparations(workers, series=True)
        ready = made.of(0, scene.calibration, MASK, STRENGTH)
        assert made.pending(0)
        begin.set()
        made.wait(0, ready, time.monotonic_ns() + 60e9)
        assert ready.problem is not None
        assert not made.pending(0)


def test_a_frame_that_comes_once_does_not_wait_for_an_inverse_that_is_not_begun(scene):
    with one_worker() as workers:
        begin = Event()
        workers.submit(begin.wait)
        made = preparations(workers, series=False)
        foreseen(made, scene.calibration)
        ready = made.of(0, scene.calibration, MASK, STRENGTH)
        assert not made.pending(0)
        made.wait(0, ready, time.monotonic_ns() + 60e9)
        assert ready.problem is None
        begin.set()
    assert made.of(0, scene.calibration, MASK, STRENGTH).problem is not None


def test_other_lines_get_a_problem_of_their_own_and_leave_the_inverse_where_it_is(scene):
    with one_worker() as workers:
        made = preparations(workers, series=True)
        foreseen(made, scene.calibration)
        lost = MASK.copy()
        lost[0] = False
        assert made.of(0, scene.calibration, lost, STRENGTH).problem is None
    assert made.of(0, scene.calibration, MASK, STRENGTH).problem is not None


def test_without_a_calibration_beforehand_the_first_frame_of_a_series_orders_the_inverse(scene):
    with one_worker() as workers:
        made = preparations(workers, series=True)
        first = made.of(0, scene.calibration, MASK, STRENGTH)
    assert made.of(0, scene.calibration, MASK, STRENGTH) is first
    assert first.problem is not None


def test_the_linear_inverse_is_begun_even_where_the_networks_could_not_be_made(scene, monkeypatch):
    def fails(*_arguments):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(engines.unrolled.prepared, "begin_predictor", fails)
    result, begun = Future(), Event()
    with one_worker() as workers:
        preparations(workers, series=True).foresee(Calibrated(0, result, begun.set), STRENGTH)
        result.set_result(scene.calibration)
        assert begun.wait(30)


@pytest.mark.parametrize(("regularisation", "lent"), [(0.01, 1), (0.5, 0)])
def test_the_linear_image_has_the_networks_inverse_or_one_of_its_own(scene, regularisation, lent):
    used = MASK & ~withheld_lines(MASK, 0.03)
    strength = strength_of(scene.calibration, used, regularisation)
    result, solvers, inverses = Future(), [], []
    with one_worker() as workers:
        calibrated = Calibrated(0, result, lambda: inverses.append(0), solvers.append)
        preparations(workers, series=True).foresee(calibrated, strength)
        result.set_result(scene.calibration)
    assert (len(solvers), len(inverses)) == (lent, 1 - lent)
    assert all(solve(scene.frame, None).begun is not None for solve in solvers)


def test_a_newer_calibration_takes_the_place_of_the_older_one(scene):
    newer = replace(scene.calibration)
    with one_worker() as workers:
        made = preparations(workers, series=True)
        old = made.of(0, scene.calibration, MASK, STRENGTH)
        new = made.of(0, newer, MASK, STRENGTH)
        assert new is not old
    assert made.of(0, newer, MASK, STRENGTH) is new
    assert new.problem is not None


def test_beyond_the_memory_that_it_may_hold_nothing_is_inverted(scene, monkeypatch):
    monkeypatch.setattr(gadgets.preparation, "MOST_BYTES", 1000)
    with one_worker() as workers:
        made = preparations(workers, series=True)
        foreseen(made, scene.calibration)
    assert made.of(0, scene.calibration, MASK, STRENGTH).problem is None


def test_a_calibration_that_failed_is_nobodys_business_here():
    with one_worker() as workers:
        result = Future()
        preparations(workers, series=True).foresee(Calibrated(0, result), STRENGTH)
        result.set_exception(ValueError("no signal"))

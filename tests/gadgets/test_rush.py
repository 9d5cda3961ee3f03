"""Opinions are formed when nothing is computed that a frame waits for, or after a while all the same."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

import gadgets.rush
from gadgets.artefacts import artefacts
from gadgets.lend import Lender
from gadgets.quality import quality
from gadgets.rush import Rush
from protocols.messages import Image
from protocols.mrd import IMAGE
from tests.making import TOML, context
from tests.peer import PATIENCE_S
from tests.tiny_model import make_model, problem

WITH_A_NETWORK = TOML + '[engines]\nmodels = { artefacts = "brain2d_artefacts" }\n'


def test_it_is_over_when_all_that_began_has_ended(monkeypatch):
    monkeypatch.setattr(gadgets.rush, "LONGEST_S", 0.01)
    rush = Rush()
    assert rush.sit_out()
    with rush.on():
        with rush.on():
            assert not rush.sit_out()
        assert not rush.sit_out()
    assert rush.sit_out()


def test_what_has_been_made_has_time_to_leave():
    rush = Rush()
    with rush.on():
        pass
    ended_s = time.monotonic()
    assert rush.sit_out()
    assert time.monotonic() - ended_s > 0.9 * gadgets.rush.LEAVING_S


def test_it_is_over_after_a_failure_too():
    rush = Rush()
    with pytest.raises(ValueError, match="that failed"), rush.on():
        raise ValueError("that failed")
    assert rush.sit_out()


def test_a_network_that_stands_back_begins_after_what_frames_wait_for(tmp_path, monkeypatch):
    order, came, real = [], Event(), Rush.sit_out

    def noting(rush):
        came.set()
        calm = real(rush)
        order.append("opinion")
        return calm

    monkeypatch.setattr(Rush, "sit_out", noting)
    monkeypatch.setattr(gadgets.rush, "LONGEST_S", PATIENCE_S)
    lender = Lender(allow_unsigned=True)
    loan = lender.borrow(str(make_model(tmp_path)), ("onnxruntime",), stands_back=True)
    whole = loan.wait(PATIENCE_S).whole
    with ThreadPoolExecutor(1) as asking:
        with lender.rush.on():
            answer = asking.submit(loan.run, whole, problem(16, 8, 16), PATIENCE_S)
            assert came.wait(PATIENCE_S)
            order.append("frame")
        assert "image" in answer.result(PATIENCE_S)
    lender.close()
    assert order == ["frame", "opinion"]


def test_a_network_that_stands_back_runs_beside_a_rush_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(gadgets.rush, "LONGEST_S", 0.01)
    lender = Lender(allow_unsigned=True)
    loan = lender.borrow(str(make_model(tmp_path)), ("onnxruntime",), stands_back=True)
    whole = loan.wait(PATIENCE_S).whole
    with lender.rush.on():
        assert "image" in loan.run(whole, problem(16, 8, 16), PATIENCE_S)
    lender.close()


@pytest.mark.parametrize("opinion", [quality, artefacts])
def test_an_image_leaves_in_a_rush_and_is_judged_after_it(opinion, monkeypatch):
    monkeypatch.setattr(gadgets.rush, "LONGEST_S", PATIENCE_S)
    told, sits, real = [], Event(), Rush.sit_out

    def noting(rush):
        sits.set()
        return real(rush)

    monkeypatch.setattr(Rush, "sit_out", noting)
    around = context(toml=WITH_A_NETWORK, tell=told.append)
    image = Image(np.zeros((), IMAGE)[()], np.ones((1, 1, 128, 128), np.float32))
    node = opinion(around)(iter([image]))
    with ThreadPoolExecutor(1) as rest:
        with around.lender.rush.on():
            assert next(node) is image
            ending = rest.submit(list, node)
            assert sits.wait(PATIENCE_S)
            assert told == []
        assert ending.result(PATIENCE_S) == []
    around.lender.close()
    assert told

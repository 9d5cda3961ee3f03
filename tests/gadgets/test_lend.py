"""Networks are opened beside everything else, and nobody waits for one that is not wanted any more."""

import os
import sys
from contextlib import contextmanager
from threading import Event, current_thread, get_native_id

import pytest
from structlog.testing import capture_logs

import engines.engine
import gadgets.lend
from engines.plans import Plans
from engines.signing import trusted_keys
from gadgets.lend import Lender
from protocols.priority import JUDGING
from tests.peer import PATIENCE_S
from tests.tiny_model import make_model


def test_a_network_that_is_closed_while_it_is_being_opened_opens_no_further_graph(tmp_path, monkeypatch):
    begun, let, graphs, real = Event(), Event(), [], engines.engine.open_engine

    @contextmanager
    def held(model, backend, *, graph, **more):
        graphs.append(graph)
        begun.set()
        let.wait(PATIENCE_S)
        with real(model, backend, graph=graph, **more) as engine:
            yield engine

    monkeypatch.setattr(engines.engine, "open_engine", held)
    monkeypatch.setattr(gadgets.lend, "PATIENCE_S", 0.0)
    lender = Lender(allow_unsigned=True)
    loan = lender.borrow(str(make_model(tmp_path)), ("onnxruntime",))
    assert begun.wait(PATIENCE_S)
    lender.close()
    let.set()
    loan.wait(PATIENCE_S)
    assert graphs == ["model"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has priorities by thread")
@pytest.mark.parametrize(("stands_back", "processors"), [(False, 2), (True, 1)])
def test_a_network_that_nothing_waits_for_has_one_processor_and_stands_back(
    tmp_path, monkeypatch, stands_back, processors
):
    known, real, usual = [], engines.engine.open_engine, os.getpriority(os.PRIO_PROCESS, 0)

    def noting(*given, threads, **more):
        known.append((threads, os.getpriority(os.PRIO_PROCESS, get_native_id())))
        return real(*given, threads=threads, **more)

    monkeypatch.setattr(engines.engine, "open_engine", noting)
    lender = Lender(allow_unsigned=True)
    lender.borrow(str(make_model(tmp_path)), ("onnxruntime",), stands_back=stands_back).wait(PATIENCE_S)
    lender.close()
    assert set(known) == {(processors, JUDGING if stands_back else usual)}


@pytest.fixture
def opened(tmp_path):
    """Open a network; gives it, and what was logged meanwhile."""
    lender = Lender(allow_unsigned=True)

    def opening(name, *backends):
        with capture_logs() as logged:
            state = lender.borrow(name, backends).wait(PATIENCE_S)
        return state, logged

    yield opening
    lender.close()


def test_a_network_is_rehearsed_in_its_own_thread_before_it_counts_as_opened(tmp_path):
    begun, let, seen = Event(), Event(), []

    def rehearse(opened):
        begun.set()
        let.wait(PATIENCE_S)
        seen.append((opened.model.card.name, current_thread().name.partition("_")[0]))

    lender, name = Lender(allow_unsigned=True), str(make_model(tmp_path))
    loan = lender.borrow(name, ("onnxruntime",), rehearse)
    assert begun.wait(PATIENCE_S)
    assert loan.state() == "is still being opened"
    let.set()
    assert loan.wait(PATIENCE_S).model.card.name == "tiny"
    assert lender.borrow(name, ("onnxruntime",), rehearse) is loan
    lender.close()
    assert seen == [("tiny", f"engine {name}".partition("_")[0])]


def test_a_rehearsal_that_fails_costs_a_warning_and_no_network(tmp_path):
    lender = Lender(allow_unsigned=True)
    with capture_logs() as logged:
        network = lender.borrow(str(make_model(tmp_path)), ("onnxruntime",), lambda _: 1 / 0).wait(PATIENCE_S)
    lender.close()
    assert network.model.card.name == "tiny"
    assert any("rehearsed" in entry["event"] and "division" in entry["reason"] for entry in logged if "reason" in entry)


def test_what_an_engine_says_is_logged_once(tmp_path, monkeypatch, opened):
    def complaining(tell):
        tell("plans cannot be kept in /nowhere")
        return Plans(tmp_path / "plans", tell)

    monkeypatch.setattr(engines.engine, "user_plans", complaining)
    _, logged = opened(str(make_model(tmp_path)), "onnxruntime")
    told = [entry.get("told") for entry in logged]
    assert told.count("plans cannot be kept in /nowhere") == 1
    assert any(line and line.startswith("tiny/cascade_0 runs on onnxruntime") for line in told)


def test_a_network_that_nobody_signed_is_warned_of(tmp_path, opened):
    network, logged = opened(str(make_model(tmp_path)), "onnxruntime")
    warned = [entry["event"].partition(",")[0] for entry in logged if entry["log_level"] == "warning"]
    assert warned == ["a network that no trusted key has signed"]
    assert network.signed_by == "unsigned"


def test_a_signed_network_names_its_key_and_is_not_warned_of(opened):
    network, logged = opened("brain2d", "onnxruntime")
    assert all(entry["log_level"] == "info" for entry in logged)
    assert network.signed_by in trusted_keys()

"""Networks are opened beside everything else, and nobody waits for one that is not wanted any more."""

from contextlib import contextmanager
from threading import Event

import engines.engine
import gadgets.lend
from gadgets.lend import Lender
from tests.peer import PATIENCE_S
from tests.tiny_model import make_model


def test_a_network_that_is_closed_while_it_is_being_opened_opens_no_further_graph(tmp_path, monkeypatch):
    begun, let, graphs, real = Event(), Event(), [], engines.engine.open_engine

    @contextmanager
    def held(model, backend, *, graph):
        graphs.append(graph)
        begun.set()
        let.wait(PATIENCE_S)
        with real(model, backend, graph=graph) as engine:
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

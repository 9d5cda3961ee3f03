"""The server that tests of the network in the chain talk to."""

import pytest

from gadgets.serve import ServeOptions, running
from tests.gadgets.network.making import Site, protocol
from tests.peer import PATIENCE_S
from tests.tiny_model import make_model


@pytest.fixture
def site(tmp_path):
    """Make a server for a model with flaws and a protocol with changes."""
    servers = []

    def make(flaw="", card=None, allow_unsigned=True, cascades=True, **changes):
        model = make_model(tmp_path, flaw=flaw, cascades=cascades, **(card or {}))
        text = protocol(str(model), **changes)
        (tmp_path / "protocols").mkdir()
        (tmp_path / "protocols" / "test_network.toml").write_text(text, encoding="utf-8")
        context = running(
            ServeOptions(port=0, open_networks=True, allow_unsigned=allow_unsigned, protocols=(tmp_path / "protocols",))
        )
        server = context.__enter__()
        servers.append(context)
        server.lender.borrow(str(model), ("onnxruntime",)).wait(PATIENCE_S)
        return Site(server, text, model)

    yield make
    for context in servers:
        context.__exit__(None, None, None)

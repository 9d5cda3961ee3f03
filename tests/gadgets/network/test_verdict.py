"""What a network's image says of whether it is to be trusted."""

import numpy as np
import pytest

import gadgets.lend
from protocols.messages import Close
from tests.gadgets.network.making import frame, images, opening, warnings
from tests.peer import talk

TRUSTING = """
[limits.linear_difference]
value = 0.5
direction = "max"
unit = "1"
[limits.local_difference]
value = 4.5
direction = "max"
unit = "1"
advice = "compare with the linear image"
"""


def trusting(here):
    return talk(here.server.port, [*opening(here.text + TRUSTING), frame(), Close()])


def test_the_verdict_on_an_image_stands_on_it_and_is_flagged(site):
    got = trusting(site())
    (image,) = images(got)
    assert image.meta["Scanside.TrustVerdict"] == "trusted"
    assert image.meta["Scanside.TrustReasons"] == "none"
    assert "PASS trust_verdict" in image.meta["Scanside.Flags"]
    assert "trust_verdict" not in warnings(got)


@pytest.fixture
def inventive(monkeypatch):
    """Let every network invent a bright structure of six pixels."""
    run = gadgets.lend.Loan.run

    def inventing(self, engine, tensors):
        out = {name: array.copy() for name, array in run(self, engine, tensors).items()}
        planes = out.get("image", out.get("denoised"))
        planes[:, 0, 18:24, 15:21] += 3 * np.abs(planes).max()
        return out

    monkeypatch.setattr(gadgets.lend.Loan, "run", inventing)


def test_a_structure_that_the_network_invented_makes_its_image_one_not_to_be_trusted(site, inventive):
    got = trusting(site())
    network, linear = images(got)
    assert network.meta["Scanside.TrustVerdict"] in ("doubtful", "not to be trusted")
    assert "differs from the linear one" in network.meta["Scanside.TrustReasons"]
    assert linear.meta["SeriesDescriptionAdditional"] == "Scanside linear"
    assert {"local_difference", "trust_verdict"} <= set(warnings(got))


def test_a_scan_protocol_that_limits_nothing_leaves_the_verdict_unknown(site):
    here = site()
    unlimited = here.text.replace("[limits.trust]", "[limits.gsr]")
    (image,) = images(talk(here.server.port, [*opening(unlimited), frame(), Close()]))
    assert image.meta["Scanside.TrustVerdict"] == "unknown"
    assert "UNKNOWN trust_verdict" in image.meta["Scanside.Flags"]

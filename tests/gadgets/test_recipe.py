"""Laws of recipes: what is wrong with a chain is said with its key and the nearest right one."""

import pytest

from gadgets.recipe import NODES, build, explain, problems
from protocols import scan_protocol
from protocols.problems import ProtocolError
from protocols.scan_protocol import parse
from tests.making import ORDER, TOML, context


def told(toml):
    return [str(p) for p in problems(parse(toml, "test.toml"))]


def chain_of(order):
    return TOML.replace(str(ORDER), str(order))


def test_every_shipped_scan_protocol_makes_a_chain_and_explains_it():
    for name in scan_protocol.names():
        protocol = scan_protocol.find(name)
        assert problems(protocol) == []
        assert len(explain(protocol)) == len(protocol.chain.order)


def test_an_unknown_gadget_is_named_with_the_nearest_known_one():
    (line,) = told(chain_of([*ORDER[:-1], "qualty"]))
    assert "test.toml" in line
    assert "'qualty'" in line
    assert "'quality'" in line


@pytest.mark.parametrize("needed", ["oversampling", "accumulate", "reconstruct", "finish"])
def test_a_chain_that_can_make_no_image_is_refused(needed):
    assert any(f"'{needed}' is missing" in line for line in told(chain_of([n for n in ORDER if n != needed])))


def test_gadgets_against_the_flow_of_data_are_refused():
    swapped = [*ORDER[:2], "oversampling", "whiten", *ORDER[4:]]
    assert any("data flows in this order only" in line for line in told(chain_of(swapped)))


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("[chain.oversampling]\nkspace_sgn = 'negative'", "Did you mean 'kspace_sign'?"),
        ("[chain.oversampling]\nkspace_sign = 'minus'", "'positive' or 'negative'"),
        ("[chain.compress]\ncoils = 'eight'", "valid integer"),
        ("[chain.compress]\ncoils = -1", "greater than or equal to 0"),
        ("[chain.finish]\npixels = 'uint8'", "'uint16'"),
    ],
)
def test_a_wrong_parameter_is_told_by_key_value_and_what_was_wanted(table, wanted):
    toml = TOML.replace("[limits.snr]", f"{table}\n[limits.snr]", 1)
    (line,) = told(toml)
    assert line.startswith("test.toml")
    assert table[1 : table.index("]")] in line
    assert wanted in line
    with pytest.raises(ProtocolError):
        build(context(toml=toml))


def test_every_gadget_says_in_its_first_sentence_what_it_does():
    for name, place in NODES.items():
        first = (place.gadget.__doc__ or "").split("\n")[0]
        assert first.endswith("."), name

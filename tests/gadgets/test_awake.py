"""The request to stay awake: made, and never in the way."""

import struct

from gadgets.awake import awake


def test_a_latency_of_zero_is_asked_for_while_the_block_lasts(tmp_path):
    request = tmp_path / "latency"
    request.touch()
    with awake(request) as accepted:
        assert accepted
        assert struct.unpack("i", request.read_bytes()) == (0,)


def test_where_nobody_listens_nothing_happens(tmp_path):
    with awake(tmp_path / "no such device") as accepted:
        assert not accepted
    assert not any(tmp_path.iterdir())

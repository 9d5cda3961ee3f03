"""Laws of the locate gadget: images leave first, what is found is prescribed, and a missing network costs a flag."""

import time
from dataclasses import replace

import numpy as np
import pytest

import gadgets.locate
from gadgets.lend import Lender
from gadgets.locate import locate
from protocols.events import Flag, Prescription, Severity
from protocols.geometry import Grid, place
from protocols.messages import Failure, Image, Text
from protocols.mrd import IMAGE
from tests.making import context, scan

SCOUT = replace(scan(), measurement_id="scout_1", patient_position="HFS")
TOML = """
name = "located"
title = "a scout that is planned on"
[chain]
order = ["oversampling", "accumulate", "reconstruct", "finish", "locate"]
[engines]
models = {{ locate = "{model}" }}
backends = ["openvino"]
"""


@pytest.fixture(scope="module")
def lender():
    with_network = Lender()
    yield with_network
    with_network.close()


def image(number=0, planes=56, value=None, **more):
    """Noise, as a volume or as one slice."""
    grid = Grid(
        (56, 56, planes), (252.0, 252.0, 4.5 * planes), (0.0, 0.0, 4.5 * number), (1, 0, 0), (0, 1, 0), (0, 0, 1)
    )
    header = place(np.zeros(1, IMAGE)[0], grid)
    header["slice"] = number
    chance = np.random.default_rng(number)
    pixels = np.abs(chance.standard_normal((1, planes, 56, 56))).astype(np.float32) if value is None else value
    return Image(header, pixels, arrived_ns=time.monotonic_ns(), **more)


def run(lender, *messages, model="head_landmarks", of=SCOUT):
    return list(locate(context(of=of, toml=TOML.format(model=model), lender=lender))(iter(messages)))


def test_images_leave_first_and_a_scout_without_a_head_is_refused_with_the_reason(lender):
    sent = image()
    got = run(lender, sent, Text("after it"))
    assert got[0] is sent
    assert got[1] == Text("after it")
    made = [message for message in got if isinstance(message, Prescription)]
    assert [one.status for one in made] == ["REFUSED"] * 4
    assert {one.scout_measurement_id for one in made} == {"scout_1"}
    flags = [message for message in got if isinstance(message, Flag)]
    assert all(flag.model_hash for flag in flags)


def test_partitions_that_come_one_by_one_are_one_scout(lender):
    got = run(lender, *(image(number, planes=1) for number in range(20)))
    assert sum(isinstance(message, Image) for message in got) == 20
    assert sum(isinstance(message, Prescription) for message in got) == 4


def test_without_its_network_images_leave_and_one_flag_is_unknown(tmp_path, lender):
    got = run(lender, image(), model=str(tmp_path))
    assert isinstance(got[0], Image)
    (flag,) = got[1:]
    assert (flag.code, flag.severity) == ("prescription", Severity.UNKNOWN)


def test_a_network_that_hangs_costs_a_flag_and_no_image(lender, monkeypatch):
    monkeypatch.setattr(gadgets.locate, "PATIENCE_S", 0.0)
    got = run(lender, image())
    assert isinstance(got[0], Image)
    (flag,) = got[1:]
    assert flag.severity is Severity.UNKNOWN
    assert "the network failed: no answer within 0 s" in flag.message


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ((), "no image"),
        ((image(value=np.full((1, 56, 56, 56), np.nan, np.float32)),), "not finite"),
        ((replace(image(), header=np.zeros(1, IMAGE)[0]),), "no_place"),
    ],
)
def test_a_scout_that_cannot_be_used_says_why(lender, sent, why):
    got = run(lender, *sent)
    (flag,) = [message for message in got if isinstance(message, Flag)]
    assert flag.severity is Severity.UNKNOWN
    assert why in flag.message


def test_missing_lines_are_no_scout_to_plan_on(lender):
    lost = Flag(code="missing_lines", severity=Severity.FAIL, message="12 lines are missing")
    flag = run(lender, image(flags=(lost,)))[-1]
    assert "12 lines are missing" in flag.message


def announcing(first, last):
    return replace(scan(slice=(first, last)), measurement_id="scout_1", patient_position="HFS")


def test_slices_that_never_came_are_no_scout_to_plan_on(lender):
    came = [image(number, planes=1) for number in range(15) if number not in (4, 9)]
    got = run(lender, *came, of=announcing(0, 14))
    assert sum(isinstance(message, Image) for message in got) == 13
    (flag,) = [message for message in got if isinstance(message, Flag)]
    assert flag.severity is Severity.UNKNOWN
    assert "incomplete: 2 of 15 slices never came, slice 4 first; take a new scout" in flag.message
    assert not [message for message in got if isinstance(message, Prescription)]


def test_all_slices_that_were_announced_are_a_scout_and_so_is_one_volume(lender):
    for sent, of in (
        ([image(number, planes=1) for number in range(2, 17)], announcing(2, 16)),
        ([image()], announcing(0, 0)),
    ):
        assert sum(isinstance(message, Prescription) for message in run(lender, *sent, of=of)) == 4


def test_after_a_scan_that_broke_off_nothing_is_prescribed(lender):
    got = run(lender, image(), Failure("the peer is gone"))
    assert not [message for message in got if isinstance(message, (Flag, Prescription))]

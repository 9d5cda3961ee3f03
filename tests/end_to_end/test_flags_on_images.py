"""What is found wrong in raw data reaches the comment of the images that are made of them, through the whole server."""

import pytest

from gadgets.serve import ServeOptions, running
from hw_sim.coils import head_array
from hw_sim.exam import Sending, run_scan, sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.plugin import Address
from hw_sim.scanner import Scanner

FRAMES = 4


@pytest.fixture(scope="module")
def play():
    """Play a small real-time series with faults; the comments of its images, frame by frame."""
    protocol, simulate = sequence_of("brain_live_r4")
    small = simulate.model_copy(update={"matrix": (64, 64), "repetitions": FRAMES, "calibration_lines": 16})
    with running(ServeOptions(port=0)) as server:

        def once(*faults):
            scanner = Scanner(ASYMMETRIC, head_array(8))
            staged = stage(scanner, small, Order(protocol.name), [ask(fault) for fault in faults])
            sending = Sending(Address("127.0.0.1", server.port), virtual_time=True)
            result = run_scan(staged, protocol.name, sending, lambda *_: None)
            assert len(result.images) == FRAMES
            return [str(arrived.image.meta["ImageComments"]) for arrived in result.images]

        yield once


def test_a_dead_coil_stands_on_every_image_of_the_scan(play):
    assert all("WARN coil_gain: L03 is dead" in comment for comment in play("dead_coil,coil=2"))


def test_calibration_of_another_place_stands_on_every_image_it_was_used_for(play):
    assert all("WARN calibration_mismatch" in comment for comment in play("wrong_calibration:6"))


def test_a_patient_who_moves_in_mid_scan_stands_on_the_images_from_there_on(play):
    said = ["WARN calibration_mismatch" in comment for comment in play("motion@51%:4")]
    assert said == [False, False, True, True]


def test_a_lost_line_stands_on_the_image_that_misses_it_alone(play):
    said = ["FAIL missing_lines" in comment for comment in play("lose_line@30%")]
    assert said == [False, True, False, False]


def test_a_sound_scan_has_nothing_on_its_images_but_what_it_is_for(play):
    assert set(play()) == {"Scanside: not for diagnosis"}

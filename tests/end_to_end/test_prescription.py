"""From landmarks to images: planned, applied by the simulated console, measured, and judged by the plugin."""

import threading
import time

import numpy as np
import pytest

from gadgets.plan import plan, submit
from gadgets.serve import ServeOptions, running
from hw_sim.coils import head_array
from hw_sim.exam import Sending, run_scan
from hw_sim.faults import stage
from hw_sim.paperwork import Order
from hw_sim.phantom import ASYMMETRIC
from hw_sim.plugin import Address
from hw_sim.prescribed import AtDesk, Lying, Preceded, at_desk
from hw_sim.scanner import Scanner
from protocols.bus_ask import Patience
from protocols.events import Severity
from protocols.geometry import grid_of
from protocols.landmarks import write_landmarks
from protocols.scan_protocol import find
from protocols.stack import centres_mm
from tests.engines.positioning.heads import posed

TURN, SHIFT_MM = (0.05, -0.08, 0.1, 1), (6.0, -9.0, 4.0)


def measured(tmp_path, decision):
    """A plan's prescription, what the console said to it, and the scan that followed."""
    path = tmp_path / "found.toml"
    path.write_text(write_landmarks(posed(TURN, SHIFT_MM, time_s=time.time())), encoding="utf-8")
    (asked,) = plan(path, "", ["hippocampus_coronal"])
    asked = asked.model_copy(update={"stack": asked.stack.model_copy(update={"slices": 2})})
    said = []

    def tell(line):
        if line.startswith("waiting"):
            address = line.rpartition(" ")[2]
            thread = threading.Thread(target=lambda: said.extend(submit(asked, address, None, Patience(20.0))))
            thread.start()
            said.append(thread)

    small = find("brain_gre_r4").simulate.model_copy(update={"matrix": (64, 64), "noise_readouts": 32})
    simulate, words = at_desk(small, Lying(), AtDesk("tcp://127.0.0.1:*", decision, 20.0), tell)
    said.pop(0).join()
    staged = stage(Scanner(ASYMMETRIC, head_array(8)), simulate, Order("brain_gre_r4"))
    with running(ServeOptions(port=0)) as server:
        sending = Sending(Address("127.0.0.1", server.port, server.bus_address), virtual_time=True)
        scan = Preceded(staged.played, staged.steps, words)
        result = run_scan(scan, "brain_gre_r4", sending, lambda *_: None)
    assert result.errors == []
    return asked, said, result


def places(result):
    return np.array([grid_of(arrived.image.header).position_mm for arrived in result.images])


def test_the_second_scan_lies_where_the_landmarks_of_the_first_put_it(tmp_path):
    asked, said, result = measured(tmp_path, "accept")
    assert said == []
    assert np.abs(places(result) - centres_mm(asked.stack)).max() < 0.06  # the console rounds to 0.1 mm
    for arrived in result.images:
        assert np.abs(grid_of(arrived.image.header).axes() - asked.stack.axes()).max() < 1e-6
        assert arrived.image.meta["Scanside.Prescription"] == asked.id
        assert arrived.image.meta["Scanside.PrescriptionPlan"] == "hippocampus_coronal"
    (flag,) = [flag for flag in result.flags if flag.code == "prescription"]
    assert flag.severity is Severity.PASS
    assert flag.score < 0.1


def test_an_operator_who_overrides_is_measured_where_he_says_and_everybody_is_told(tmp_path):
    asked, said, result = measured(tmp_path, "override")
    assert ["overridden): the middle by 5.0 mm" in line for line in said] == [True]
    moved = places(result) - centres_mm(asked.stack)
    assert moved == pytest.approx(5 * np.tile(asked.stack.slice_dir, (2, 1)), abs=0.1)
    assert [line for line in result.texts if line.startswith("WRN prescription: the console set other values")]
    assert all("WARN prescription" in str(arrived.image.meta["ImageComments"]) for arrived in result.images)

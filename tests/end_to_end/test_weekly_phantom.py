"""The weekly check through the whole chain: a sound scanner passes and is kept, a wrong size and ghosts are told."""

import pytest

from gadgets.history.chronicle import Keep
from gadgets.history.store import Store
from gadgets.serve import ServeOptions, running
from hw_sim.exam import Sending, load_exam, patient_of, run_scan, sequence_of
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.phantom_acr import Cylinder
from hw_sim.plugin import Address
from hw_sim.scanner import Scanner
from protocols.events import Severity

FIGURES = {"phantom_geometry", "phantom_uniformity", "phantom_ghosting", "phantom_snr"}


@pytest.fixture(scope="module")
def weekly(tmp_path_factory):
    """Play the weekly scan, half as fine; flags of the phantom by code, and the store behind them."""
    store = tmp_path_factory.mktemp("weekly") / "history.db"
    exam = load_exam("weekly_phantom")
    protocol, simulate = sequence_of(exam.scans[0].protocol)
    coarse = simulate.model_copy(update={"matrix": (128, 128), "slices": 2})
    with running(ServeOptions(port=0, history=Keep(store))) as server:

        def play(*faults, patient=None):
            scanner = Scanner(patient or patient_of(exam.patient.body), exam.array.array)
            staged = stage(scanner, coarse, Order(protocol.name), [ask(fault) for fault in faults])
            address = Address("127.0.0.1", server.port, server.bus_address)
            result = run_scan(staged, protocol.name, Sending(address, virtual_time=True), lambda *_: None)
            assert len(result.images) == 6
            told = {}
            for flag in sorted(result.flags, key=lambda flag: abs(flag.score or 0)):
                told[flag.code] = flag  # the largest score of each
            return told

        yield play, store


def test_a_sound_scanner_passes_every_figure_and_the_history_has_them(weekly):
    play, store = weekly
    told = play()
    assert {code: told[code].severity for code in FIGURES} == dict.fromkeys(FIGURES, Severity.PASS)
    assert told["phantom_geometry"].score < 1.0
    assert told["phantom_uniformity"].score > 90
    assert play().keys() >= FIGURES
    with Store(store) as kept:
        assert set(kept.pasts("weekly_phantom")[0].watched) >= FIGURES


def test_a_phantom_of_another_size_is_told_with_the_size_that_was_measured(weekly):
    play, _ = weekly
    told = play(patient=Cylinder(diameter_mm=194.0))["phantom_geometry"]
    assert told.severity is Severity.FAIL
    assert told.evidence["measured_mm"] == pytest.approx(194, abs=1.0)


def test_phase_that_jumps_from_shot_to_shot_is_told_by_its_ghosts(weekly):
    play, _ = weekly
    assert play("phase_instability:16")["phantom_ghosting"].severity is Severity.FAIL

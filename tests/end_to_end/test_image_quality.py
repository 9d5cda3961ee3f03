"""Figures of images, from a scanner's lines to whoever listens on the bus."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engines.quality.image import UNITS
from gadgets.serve import ServeOptions, running
from hw_sim.link import Session, play
from hw_sim.replay import read_recording
from protocols.bus import Subscriber
from protocols.header import write_header
from protocols.messages import Close, Config, Header, Image
from protocols.mrd import AcqFlag, flag_mask
from tests.making import readouts, scan
from tests.peer import PATIENCE_S, raw, talk
from tests.tiny_model import make_model

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
SIZE, COILS, NOISE = 48, 8, 0.02
STEPS = sorted({*range(0, SIZE, 4), *range(SIZE // 2 - 8, SIZE // 2 + 8)})
PROTOCOL = """
name = "by_network"
title = "for tests"
[chain]
order = ["whiten", "oversampling", "accumulate", "calibrate", "reconstruct", "network", "finish", "quality"]
[chain.network]
error_map = true
[engines]
emit = "network"
models = {{ network = '{model}' }}
backends = ["onnxruntime"]
[limits.snr]
value = 1
direction = "min"
unit = "1"
[deadlines]
network = 20000.0
"""


def heard(server, send, count):
    """What is told of images while something is sent."""
    with Subscriber(server.bus_address, ["quality"]) as bus:
        assert server.publisher.wait_for_subscriptions(1)
        sent = send()
        return sent, [bus.receive(PATIENCE_S) for _ in range(count)]


def noise():
    random = np.random.default_rng(5)
    data = NOISE * (random.standard_normal((8, COILS, SIZE)) + 1j * random.standard_normal((8, COILS, SIZE)))
    flags = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(8)]
    return readouts(range(8), flags, COILS, SIZE, data.astype(np.complex64))


def frame(number):
    made = raw(STEPS, COILS, SIZE, NOISE, seed=number, repetition=number)
    block = abs(np.array(STEPS) - SIZE // 2 + 0.5) < 8
    made.headers["flags"][block] |= flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
    if number == 0:
        made.headers["flags"][-1] &= ~np.uint64(flag_mask(AcqFlag.LAST_IN_MEASUREMENT))
    return made


def test_networks_images_are_judged_beside_the_linear_ones_behind_them_and_error_maps_are_not(tmp_path):
    model = make_model(tmp_path)
    opening = [
        Config(PROTOCOL.format(model=model), is_name=False),
        Header(write_header(scan(SIZE, SIZE, 4, "embedded", repetition=(0, 1)))),
    ]
    sent = [*opening, noise(), frame(0), frame(1), Close()]
    with running(ServeOptions(port=0, allow_unsigned=True)) as server:
        server.lender.borrow(str(model), ("onnxruntime",)).wait(PATIENCE_S)
        got, told = heard(server, lambda: talk(server.port, sent), 2)
    assert len([message for message in got if isinstance(message, Image)]) == 4
    assert [(event.engine, event.repetition) for event in told] == [("network", 0), ("network", 1)]
    figures = told[0].figures
    assert set(figures) == {name + end for name in UNITS for end in ("", "_linear", "_difference")}
    for name in ("efc", "falloff", "edge_signal"):
        linear = figures[f"{name}_linear"]
        assert figures[f"{name}_difference"] == pytest.approx(figures[name] - linear)
    assert figures["efc_difference"] != 0


@pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")
def test_a_real_brain_has_its_figures_and_an_exact_solve_says_what_they_cannot_rest_on():
    told = {}
    with running(ServeOptions(port=0)) as server:
        for name in ("brain16_gre", "brain16_r2"):
            recording = read_recording(DATA / f"{name}.h5")
            session = Session("127.0.0.1", server.port, "default")
            _, (told[name],) = heard(server, partial(play, session, recording.xml, recording.paced("max")), 1)
    full, exact = told["brain16_gre"], told["brain16_r2"]
    assert (full.protocol, full.engine) == ("cartesian", "fft")
    assert full.figures["gsr"] < 0.05
    assert full.figures["edge_signal"] < 10
    assert full.figures["snr"] > 30
    assert full.figures["efc"] == pytest.approx(exact.figures["efc"], abs=0.05)
    assert exact.figures["gsr"] is None
    assert "zero outside the object" in exact.unknown["gsr"]

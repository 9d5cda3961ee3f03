"""Faults of field and radio frequency: interference, drift of the main field, phase that jumps from shot to shot."""

import numpy as np
from numpy.typing import NDArray

from hw_sim.faults.fault import Asked
from hw_sim.faults.spoil import remade, spoils
from hw_sim.faults.truth import Truth
from hw_sim.scanner import Played
from hw_sim.sequencer import Kind
from protocols.stream import Node

__all__ = ["b0_drift", "off_resonance", "phase_instability", "signal", "zipper"]


def signal(scan: Played) -> NDArray[np.bool_]:
    """Tell which readouts (readout,) see the patient: all but the noise scan."""
    return scan.plan["kind"] != Kind.NOISE


def _seconds(scan: Played, numbers: NDArray[np.intp], *, since_echo: bool) -> NDArray[np.float64]:
    """Time (readout, sample) since the first readout, or since the excitation of each."""
    head = scan.headers[0]
    along = (np.arange(int(head["number_of_samples"])) - int(head["center_sample"])) * float(head["sample_time_us"])
    if since_echo:
        simulate = scan.source.simulate
        along = along + (1e3 * simulate.te_ms if simulate.sequence == "gre" else 0.0)
        return np.broadcast_to(along * 1e-6, (len(numbers), len(along)))
    return numbers[:, None] * scan.tr_ms * 1e-3 + along * 1e-6


def off_resonance(hertz: NDArray[np.float64], scan: Played, numbers: NDArray[np.intp]) -> NDArray[np.complex64]:
    """Phase (readout, 1, sample) that a field off by so much (readout,) makes until the echo and along the readout."""
    turns = hertz[:, None] * _seconds(scan, numbers, since_echo=True)
    return np.exp(2j * np.pi * turns)[:, None].astype(np.complex64)


def zipper(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let a transmitter be heard at one frequency off the centre, in step with time, in the noise scan too.

    How wide a column of the spectrum is stands in the truth.
    """
    coils = list(asked.coils(scan))
    truth.coils = tuple(coils)
    phases = np.exp(2j * np.pi * asked.chance().random(len(coils)))
    first = scan.headers[0]
    truth.keys["width_hz"] = round(1e6 / float(first["sample_time_us"]) / int(first["number_of_samples"]), 1)
    heard = (asked.strength * asked.sigma(scan)[coils] * phases)[:, None]

    def remake(samples: NDArray[np.complex64], numbers: NDArray[np.intp]) -> NDArray[np.complex64]:
        wave = np.exp(2j * np.pi * asked.keys["hz"] * _seconds(scan, numbers, since_echo=False))
        samples[:, coils] += (heard * wave[:, None]).astype(np.complex64)
        return samples

    return spoils(asked.onwards(scan), scan, truth, remade(scan.frontend, remake))


def b0_drift(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the main field drift at a constant rate: phase at the echo, and a frequency offset along the readout."""
    first = asked.first(scan)

    def remake(samples: NDArray[np.complex64], numbers: NDArray[np.intp]) -> NDArray[np.complex64]:
        gone_s = (numbers.astype(np.float64) - first + 1) * scan.tr_ms * 1e-3
        drifted: NDArray[np.complex64] = samples * off_resonance(asked.strength * gone_s, scan, numbers)
        return drifted

    return spoils(asked.onwards(scan) & signal(scan), scan, truth, remade(scan.frontend, remake))


def phase_instability(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the phase of each shot be random, with so many degrees of standard deviation."""
    phases = np.radians(asked.strength) * asked.chance().standard_normal(len(scan.plan))

    def remake(samples: NDArray[np.complex64], numbers: NDArray[np.intp]) -> NDArray[np.complex64]:
        return samples * np.exp(1j * phases[numbers]).astype(np.complex64)[:, None, None]

    return spoils(asked.onwards(scan) & signal(scan), scan, truth, remade(scan.frontend, remake))

"""Who moves in the first half of a scan: is he told by half of the shots, and is anybody told to abort who lies still?

Short scans of the MNI head with navigators through the gadgets that advise; what is not measured here, an image, is put
in its frame's place, so that hundreds of scans take minutes. Intervals: Wilson, J Am Stat Assoc 1927; 22:209.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np

from gadgets.accumulate import accumulate
from gadgets.advice import advice
from gadgets.navigator import navigator
from gadgets.oversampling import oversampling
from gadgets.whiten import whiten
from hw_sim.coils import head_array
from hw_sim.exam import patient_of, sequence_of
from hw_sim.faults import ask, stage
from hw_sim.pacing import singly
from hw_sim.paperwork import Order
from hw_sim.scanner import Scanner
from protocols.events import Advice
from protocols.messages import Frame, Image, Message
from protocols.mrd import IMAGE
from protocols.stream import chain, on
from tests.making import context

PROTOCOL = "brain_gre_r4_navigated"  # its limits and parameters
SMALL = {
    "matrix": (64, 96),
    "slices": 6,
    "thickness_mm": 2.0,
    "gap_mm": 10.0,
    "acceleration": 1,
    "calibration": "none",
}
KINDS = ("still", "moved", "coughed")


def fault(kind: str, chance: np.random.Generator) -> tuple[str, ...]:
    """Nothing, a motion of 2 to 6 mm or degrees between 5 and 45 % of the shots, or a cough of half a second."""
    place, size, axis = chance.uniform(5, 45), chance.uniform(2, 6), chance.choice(list("xyz"))
    if kind == "still":
        return ()
    if kind == "coughed":
        return (f"cough@{place:.2f}%:{size:.2f},turn={size:.2f},along={axis},lasts=0.5",)
    if chance.random() < 0.5:
        return (f"motion@{place:.2f}%:{size:.2f},along={axis}",)
    return (f"motion@{place:.2f}%:0,turn={size:.2f},about={axis}",)


def pictured(frame: Frame) -> Iterator[Image]:
    """An image without pixels in the place of a frame."""
    header = np.zeros(1, IMAGE)[0]
    for name in ("slice", "contrast", "repetition"):
        header[name] = frame.header["idx"][name]
    yield Image(header, np.zeros((1, 1, 1, 1), np.uint16))


def advised(scanner: Scanner, snr: float, faults: tuple[str, ...]) -> list[tuple[str, float]]:
    """Every advice of a scan, with the share of the shots that had come."""
    protocol, simulate = sequence_of(PROTOCOL)
    small = simulate.model_copy(update={**SMALL, "snr": snr})
    staged = stage(scanner, small, Order(protocol.name), [ask(text) for text in faults])
    sent = 0

    def counted() -> Iterator[Message]:
        nonlocal sent
        for message in singly(staged.stream()):
            sent += 1
            yield message

    made = replace(context(of=staged.played.scan), protocol=protocol)
    nodes = [whiten(made), oversampling(made), navigator(made), accumulate(made), on(Frame, pictured)]
    nodes.append(advice(made, **protocol.chain.parameters["advice"]))
    noise, count = small.noise_readouts, len(staged.played.plan)
    return [(m.action, (sent - noise) / (count - noise)) for m in chain(*nodes)(counted()) if isinstance(m, Advice)]


def share(found: int, of: int) -> dict[str, object]:
    """A share with its 95 % interval."""
    p, more = found / of, 3.8416 / of
    half = 1.96 * sqrt(p * (1 - p) / of + more / (4 * of))
    low, high = ((p + more / 2 + sign * half) / (1 + more) for sign in (-1, 1))
    return {"value": p, "unit": "1", "low": max(low, 0.0), "high": min(high, 1.0), "scans": of}


def run(scans: int = 20, seed: int = 1) -> dict[str, dict[str, object]]:
    """Shares over so many scans of each kind."""
    chance = np.random.default_rng(seed)
    scanner = Scanner(patient_of("mni"), head_array(8))
    told: dict[str, list[list[tuple[str, float]]]] = {kind: [] for kind in KINDS}
    for _ in range(scans):
        for kind in KINDS:
            told[kind].append(advised(scanner, float(chance.uniform(20, 120)), fault(kind, chance)))

    def of(kind: str, actions: tuple[str, ...], until: float = 1.0) -> dict[str, object]:
        return share(sum(any(a in actions and at <= until for a, at in one) for one in told[kind]), scans)

    either = ("reacquire", "abort")
    return {
        "advice_motion_by_half": of("moved", either, 0.5),
        "advice_motion_aborted_by_half": of("moved", ("abort",), 0.5),
        "advice_still": of("still", either),
        "advice_cough": of("coughed", ("reacquire",)),
        "advice_cough_aborted": of("coughed", ("abort",)),
    }

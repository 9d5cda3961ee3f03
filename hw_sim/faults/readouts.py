"""Faults of single readouts: lost, twice, late, spiked, clipped, not a number."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hw_sim.errors import SimulationError
from hw_sim.faults.fault import Asked
from hw_sim.faults.spoil import numbers_of, remade, spoils
from hw_sim.faults.truth import Truth
from hw_sim.frontend import FULL_SCALE
from hw_sim.scanner import Played
from protocols.messages import Message, Readouts
from protocols.stream import Node

__all__ = ["late", "lose", "not_a_number", "repeat", "saturate", "spike"]


def lose(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Send nothing in the place of some lines."""
    return spoils(asked.here(scan, int(asked.strength)), scan, truth, lambda _: [])


def repeat(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Send some lines twice."""
    return spoils(asked.here(scan, int(asked.strength)), scan, truth, lambda part: [part, part])


def late(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Hold one line back until so many readouts have overtaken it, or the stream ends."""
    number = int(np.argmax(asked.here(scan)))

    def node(messages: Iterator[Message]) -> Iterator[Message]:
        held: Readouts | None = None
        left = int(asked.strength)
        for message in messages:
            if not isinstance(message, Readouts) or (held is None and number not in numbers_of(message)):
                yield message
                continue
            for row, numbered in enumerate(numbers_of(message)):
                one = message.part(slice(row, row + 1))
                if left and held is None and numbered == number:
                    held = one
                    truth.note(one.headers, scan.tr_ms)
                    continue
                yield one
                left -= held is not None
                if held is not None and not left:
                    yield held
                    held = None
        if held is not None:
            yield held

    return node


def not_a_number(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Make the middle sample of one line NaN."""
    coils = truth.coils = asked.coils(scan)

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        samples[:, list(coils), samples.shape[2] // 2] = np.nan
        return samples

    return spoils(asked.here(scan), scan, truth, remade(scan.frontend, remake))


def saturate(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Clip one line: its strongest sample asks for so many times the range of the ADC."""

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        largest = max(float(np.abs(samples.view(np.float32)).max()), 1e-30)
        return samples * np.float32(asked.strength * FULL_SCALE / largest)

    return spoils(asked.here(scan), scan, truth, remade(scan.frontend, remake))


def spike(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let a spark hit one sample of one line: so many standard deviations of a coil's noise are added to its signal.

    A spark knows nothing of the signal, so its phase is random. How far the sample then stands `above` the strongest of
    its neighbours, in the same unit, stands in the truth.
    """
    count = int(scan.headers["number_of_samples"][-1])
    sample = int(asked.keys["sample"]) if asked.keys["sample"] != -1 else count // 3
    if not 0 <= sample < count:
        raise SimulationError(f"spike: got sample={sample}, wanted 0 to {count - 1}")
    coils = list(asked.coils(scan))
    truth.coils = tuple(coils)
    truth.keys["sample"] = sample
    phases = np.exp(2j * np.pi * asked.chance().random(len(coils)))
    sigma = asked.sigma(scan)[coils]
    spark = asked.strength * sigma * phases

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        samples[:, coils, sample] += spark
        around = np.abs(samples[:, coils, max(sample - 2, 0) : sample + 3])
        size = np.abs(samples[:, coils, sample])
        around[:, :, min(sample, 2)] = 0
        above = (size - around.max(axis=2)) / sigma
        truth.keys["above"] = round(float(above.max()), 2)
        return samples

    return spoils(asked.here(scan), scan, truth, remade(scan.frontend, remake))

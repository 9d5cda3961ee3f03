"""Faults of coils and receivers; those that a noise scan shows spoil it too."""

import numpy as np
from numpy.typing import NDArray

from hw_sim.coils import ELECTRONICS
from hw_sim.faults.fault import Asked
from hw_sim.faults.spoil import Remake, remade, spoils
from hw_sim.faults.truth import Truth
from hw_sim.scanner import Played
from protocols.stream import Node

__all__ = ["dead", "detuned", "gain_drop", "noise_rise", "noisy", "swapped"]

OWN_NOISE = ELECTRONICS / (1 + ELECTRONICS)  # part of a mean coil's noise power that the receiver itself makes


def _from_there_on(asked: Asked, scan: Played, truth: Truth, remake: Remake) -> Node:
    return spoils(asked.onwards(scan), scan, truth, remade(scan.frontend, remake))


def _left(decibel: float) -> np.float32:
    """Return the part of an amplitude that is left when it drops by so many dB."""
    return np.float32(10 ** (-decibel / 20))


def _white(chance: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Complex noise with E|n|² = 1."""
    doubled = chance.standard_normal((*shape[:-1], 2 * shape[-1]), np.float32).view(np.complex64)
    return doubled * np.float32(0.5**0.5)


def gain_drop(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the gain of receivers fall: signal and noise alike."""
    coils = truth.coils = asked.coils(scan)
    left = _left(asked.strength)

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        samples[:, list(coils)] *= left
        return samples

    return _from_there_on(asked, scan, truth, remake)


dead = gain_drop  # by so many dB that nothing is left to speak of


def detuned(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let a coil couple less to the patient: signal and patient noise fall, the receiver's own noise stays.

    That is why whitening does not heal a detuned coil as it would heal a gain.
    """
    coils = truth.coils = asked.coils(scan)
    left = _left(asked.strength)
    own = (scan.frontend.sigma[list(coils)] * (OWN_NOISE * (1 - left**2)) ** 0.5).astype(np.float32)
    chance = asked.chance()

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        hit = samples[:, list(coils)]
        samples[:, list(coils)] = left * hit + own[:, None] * _white(chance, hit.shape)
        return samples

    return _from_there_on(asked, scan, truth, remake)


def noisy(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the noise of a coil rise to so many times its standard deviation, alone and uncorrelated."""
    coils = truth.coils = asked.coils(scan)
    more = (asked.sigma(scan)[list(coils)] * (asked.strength**2 - 1) ** 0.5).astype(np.float32)
    chance = asked.chance()

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        hit = samples[:, list(coils)]
        samples[:, list(coils)] = hit + more[:, None] * _white(chance, hit.shape)
        return samples

    return _from_there_on(asked, scan, truth, remake)


def noise_rise(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let the noise of the whole array rise, its covariance times the strength squared."""
    asked.sigma(scan)
    more = np.float32(scan.frontend.gain * (asked.strength**2 - 1) ** 0.5)
    chance = asked.chance()

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        return samples + more * scan.frontend.noise(samples.shape, chance)

    return _from_there_on(asked, scan, truth, remake)


def swapped(asked: Asked, scan: Played, truth: Truth) -> Node:
    """Let two coils be plugged into each other's receivers."""
    count = len(scan.frontend.covariance)
    pair = [asked.coil("coil", count), asked.coil("with", count)]
    truth.coils = tuple(pair)

    def remake(samples: NDArray[np.complex64], _: NDArray[np.intp]) -> NDArray[np.complex64]:
        samples[:, pair] = samples[:, pair[::-1]]
        return samples

    return _from_there_on(asked, scan, truth, remake)

"""What a user would pick instead, computing alone: sigpy and BART, on the same k-space and maps, on two threads."""

import sys
import time
import warnings
from typing import NamedTuple

import numpy as np

ITERATIONS = 10
TIMES = 7
THREADS = 2


class Peer(NamedTuple):
    name: str
    ms: float
    image: np.ndarray  # (y, x)


def with_sigpy(problem, iterations=ITERATIONS):
    """A function that makes the image once with sigpy's SenseRecon."""
    from sigpy.mri.app import SenseRecon

    maps, weight = _maps(problem), problem.calibration.regularisation
    return lambda: SenseRecon(problem.kspace, maps, lamda=weight, max_iter=iterations, show_pbar=False).run()


def with_bart(problem):
    """The same with BART, pics -l2, in process by bartorch."""
    import bartorch
    import torch

    bartorch.set_num_threads(THREADS)
    torch.set_num_threads(THREADS)
    kspace, maps = (torch.from_numpy(np.ascontiguousarray(a)[:, None]) for a in (problem.kspace, _maps(problem)))
    weight = problem.calibration.regularisation
    return lambda: bartorch.apps.pics(kspace, maps, l2=weight, maxiter=ITERATIONS).numpy().squeeze()


def with_wavelet(problem, weight=0.3, iterations=30):
    """BART's l1-wavelet, pics -R W, on the same samples; `weight` in units of the noise does not change its time."""
    import bartorch
    import torch
    from bartorch import priors

    bartorch.set_num_threads(THREADS)
    torch.set_num_threads(THREADS)
    kspace, maps = (torch.from_numpy(np.ascontiguousarray(a)[:, None]) for a in (problem.kspace, _maps(problem)))
    wavelet = priors.Wavelet((-1, -2), weight)
    return lambda: bartorch.apps.pics(kspace, maps, regularizers=wavelet, maxiter=iterations).numpy().squeeze()


def peers(problem):
    """Best time and image of each peer; BART is left out, with a line on stderr, where bartorch does not run here."""
    found = [_timed("sigpy SenseRecon, 10 iterations", with_sigpy(problem))]
    try:
        found.append(_timed("bartorch pics -l2, 10 iterations", with_bart(problem)))
    except (ImportError, OSError) as error:
        print(f"no BART here: {error}", file=sys.stderr)
    return found


def _timed(name, act):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        image = act()
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            act()
            taken.append((time.perf_counter() - began) * 1e3)
    return Peer(name, min(taken), np.asarray(image))


def _maps(problem):
    return np.ascontiguousarray(problem.calibration.maps * problem.calibration.inside)

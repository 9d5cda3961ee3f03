"""Small scans for tests: headers, batches of lines, contexts."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gadgets.context import Context, Memory
from protocols.messages import Lines, Readouts
from protocols.mrd import ACQUISITION, AcqFlag, flag_mask
from protocols.scan import Encoding, Limit, Scan
from protocols.scan_protocol import find, parse

WORKERS = ThreadPoolExecutor(1)
PLANNED = """
name = "planned"
title = "a scout that is planned on"
[chain]
order = ["oversampling", "accumulate", "reconstruct", "finish", "prescribe"]
[chain.prescribe]
landmarks = "{file}"
plan = "brain_axial"
"""
ORDER = [
    "archive",
    "inspect",
    "whiten",
    "oversampling",
    "accumulate",
    "compress",
    "calibrate",
    "reconstruct",
    "finish",
    "quality",
]
TOML = f"""
name = "test"
title = "a protocol for tests"
[chain]
order = {ORDER}
[limits.snr]
value = 5.0
direction = "min"
unit = "1"
advice = "repeat"
[limits.noise_covariance_outlier]
value = 3.0
direction = "max"
unit = "1"
"""


def scan(lines=8, samples=8, acceleration=1, calibration="", first=0, last=None, centre=None, recon=None, **limits):
    """A 2-D Cartesian scan; limits by counter name, as (minimum, maximum)."""
    ranges = {name: Limit(low, high, 0) for name, (low, high) in limits.items()}
    steps = Limit(first, lines - 1 if last is None else last, lines // 2 if centre is None else centre)
    encoding = Encoding(
        "cartesian",
        (samples, lines, 1),
        (float(samples), float(lines), 5.0),
        recon or (samples, lines, 1),
        (float((recon or (samples,))[0]), float((recon or (0, lines))[1]), 5.0),
        {"kspace_encoding_step_1": steps, **ranges},
        (acceleration, 1),
        calibration,
    )
    return Scan((encoding,), coils=2, coil_labels=("A1", "A2"))


def context(of=None, toml=TOML, **more):
    """Surroundings of a gadget under test."""
    return Context(of or scan(), parse(toml, "test.toml"), WORKERS, memory=Memory(), **more)


@contextmanager
def busy():
    """Workers that have something else to do."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as workers:
        workers.submit(done.wait)
        try:
            yield workers
        finally:
            done.set()


def headers(steps, flags=(), coils=2, samples=8, **counters):
    """Acquisition headers of consecutive readouts; flags is a sequence of (position, flag, …)."""
    made = np.zeros(len(steps), ACQUISITION)
    made["version"] = 1
    made["scan_counter"] = np.arange(1, len(steps) + 1)
    made["idx"]["kspace_encode_step_1"] = steps
    for name, value in counters.items():
        made["idx"][name] = value
    made["number_of_samples"] = samples
    made["center_sample"] = samples // 2
    made["active_channels"] = made["available_channels"] = coils
    made["read_dir"], made["phase_dir"], made["slice_dir"] = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    made["sample_time_us"] = 10
    for position, *which in flags:
        made["flags"][position] |= flag_mask(*which)
    return made


def lines(steps, flags=(), coils=2, samples=8, values=None, **counters):
    """A batch of lines whose samples are their encode step + 1, unless given."""
    values = np.asarray(steps, np.float32) + 1 if values is None else np.asarray(values)
    data = np.ones((len(steps), coils, samples), np.complex64) * values.reshape(-1, 1, 1).astype(np.complex64)
    return Lines(headers(steps, flags, coils, samples, **counters), data, 1)


def readouts(steps, flags=(), coils=2, samples=8, data=None, seed=0, **counters):
    """A batch of raw readouts of noise, unless given."""
    if data is None:
        random = np.random.default_rng(seed)
        parts = random.standard_normal((len(steps), coils, samples, 2), np.float32)
        data = parts.view(np.complex64)[..., 0]
    made = headers(steps, flags, coils, samples, **counters)
    return Readouts(made, np.zeros((len(steps), samples, 0), np.float32), data, 1)


LAST = AcqFlag.LAST_IN_SLICE


def changed_protocol(folder, name, *patterns):
    """Keep a shipped scan protocol in a folder, some lines of which are others: (key, line) each, once in it."""
    text = Path(find(name).where).read_text(encoding="utf-8")
    for pattern, line in patterns:
        text, count = re.subn(rf"(?m)^{pattern} = .*$", line, text)
        assert count == 1, pattern
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")

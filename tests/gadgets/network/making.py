"""A server with a small network, and scans of its protocol."""

import numpy as np

from protocols.header import write_header
from protocols.messages import Close, Config, Header, Image, Text
from protocols.mrd import AcqFlag, flag_mask
from tests.making import readouts, scan
from tests.peer import raw, talk

SIZE, COILS, NOISE = 48, 8, 0.02
STEPS = sorted({*range(0, SIZE, 4), *range(SIZE // 2 - 8, SIZE // 2 + 8)})
PROTOCOL = """
name = "{name}"
title = "for tests"
[chain]
order = ["whiten", "oversampling", "accumulate", "calibrate", "reconstruct", "network", "finish", "quality"]
[chain.accumulate]
early_lines = {early}
[chain.network]
{parameters}
[chain.finish]
pixels = "float32"
[engines]
emit = "{emit}"
on_unusable = "{on_unusable}"
models = {{ network = '{model}' }}
backends = ["onnxruntime"]
[limits.trust]
value = 100
direction = "max"
unit = "1"
[limits.snr]
value = 1
direction = "min"
unit = "1"
[deadlines]
network = {deadline_ms}
"""


def protocol(
    model, name="test_network", emit="network", deadline_ms=20_000.0, on_unusable="linear", parameters="", early=0
):
    return PROTOCOL.format(**locals())


def opening(text):
    of = scan(SIZE, SIZE, 4, "embedded", repetition=(0, 99))
    return [Config(text, is_name=False), Header(write_header(of)), noise()]


def noise():
    random = np.random.default_rng(5)
    data = NOISE * (random.standard_normal((8, COILS, SIZE)) + 1j * random.standard_normal((8, COILS, SIZE)))
    flags = [(n, AcqFlag.IS_NOISE_MEASUREMENT) for n in range(8)]
    return readouts(range(8), flags, COILS, SIZE, data.astype(np.complex64))


def frame(number=0, *, last=True, steps=STEPS):
    made = raw(steps, COILS, SIZE, NOISE, seed=number, repetition=number)
    block = abs(np.array(steps) - SIZE // 2 + 0.5) < 8
    made.headers["flags"][block] |= flag_mask(AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
    if not last:
        made.headers["flags"][-1] &= ~np.uint64(flag_mask(AcqFlag.LAST_IN_MEASUREMENT))
    return made


class Site:
    """A server with one network that is open, and what scans of its protocol bring back."""

    def __init__(self, server, text, model):
        self.server, self.text, self.model = server, text, model

    def scan(self, *frames):
        return talk(self.server.port, [*opening(self.text), *(frames or (frame(),)), Close()])


def images(got):
    assert isinstance(got[-1], Close)
    return [message for message in got if isinstance(message, Image)]


def warnings(got):
    return [m.text.split()[1].rstrip(":") for m in got if isinstance(m, Text) and m.text[:3] in ("WRN", "ERR")]


def pixels(image):
    return image.pixels[0, 0].astype(float)

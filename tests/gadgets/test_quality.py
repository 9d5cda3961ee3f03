"""Laws of quality: an SNR that was put in comes out, and nothing is called good for want of knowledge."""

import numpy as np
import pytest

from gadgets.quality import quality
from protocols.events import Severity
from protocols.messages import Image, NoiseScan
from protocols.mrd import IMAGE
from tests.making import TOML, context


def disc(snr, noise_known, seed=1):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-64:64, -64:64]
    signal = np.where(x**2 + y**2 < 40**2, snr, 0.0)
    noise = random.standard_normal((2, 128, 128))
    pixels = np.abs(signal + noise[0] + 1j * noise[1]).astype(np.float32)
    known = np.ones((128, 128), np.float32) if noise_known else None
    return Image(np.zeros((), IMAGE)[()], pixels[None, None], noise_std=known)


def flags(message, toml=TOML):
    told = []
    assert list(quality(context(toml=toml, tell=told.append))(iter([message]))) == [message]
    return told


@pytest.mark.parametrize("noise_known", [True, False])
@pytest.mark.parametrize("snr", [8, 20, 60])
def test_the_snr_of_a_disc_is_found_within_ten_percent(snr, noise_known):
    (flag,) = flags(disc(snr, noise_known))
    assert flag.score == pytest.approx(snr, rel=0.1)
    assert flag.severity is Severity.PASS
    assert flag.limit == 5.0


def test_an_snr_below_the_limit_is_a_warning_with_the_protocols_advice():
    (flag,) = flags(disc(3.5, noise_known=True))
    assert (flag.severity, flag.advice) == (Severity.WARN, "repeat")
    assert flag.limit_id.endswith(":snr")


def test_without_a_limit_and_on_an_empty_image_the_verdict_is_unknown():
    (flag,) = flags(disc(20, noise_known=True), TOML.replace("[limits.snr]", "[limits.other]"))
    assert flag.severity is Severity.UNKNOWN
    empty = Image(np.zeros((), IMAGE)[()], np.zeros((1, 1, 32, 32), np.uint16))
    assert [f.severity for f in flags(empty)] == [Severity.UNKNOWN]


@pytest.mark.parametrize("power", [100.0, 0.001, 0.0])
def test_a_coil_with_other_noise_than_the_rest_is_named(power):
    covariance = np.diag([1.0, power, 1.0]).astype(np.complex64)
    (flag,) = flags(NoiseScan(covariance, 100, 5.0, "this scan"))
    assert flag.severity is Severity.WARN
    assert flag.evidence == {"coil": 1, "label": "A2"}


def test_coils_with_alike_noise_pass():
    (flag,) = flags(NoiseScan(np.eye(2, dtype=np.complex64), 100, 5.0, "this scan"))
    assert flag.severity is Severity.PASS


def test_an_image_leaves_before_its_flag():
    image = disc(20, noise_known=True)
    assert next(iter(quality(context())(iter([image])))) is image

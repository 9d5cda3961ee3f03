"""Laws of quality: an SNR that was put in comes out, and nothing is called good for want of knowledge."""

import numpy as np
import pytest

from engines.quality.image import UNITS
from gadgets.finish import finish
from gadgets.image_verdict import WORDS
from gadgets.quality import quality
from protocols.events import Flag, Quality, Severity
from protocols.messages import Image, NoiseScan, Reconstruction
from protocols.mrd import IMAGE
from tests.making import TOML, context, headers, scan

GHOST = (
    TOML
    + """
[limits.gsr]
value = 0.05
direction = "max"
unit = "1"
advice = "repeat the slice"
"""
)


def disc(snr, noise_known, seed=1, ghost=0.0, **more):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-64:64, -64:64]
    signal = np.where(x**2 + (y if not ghost else 2 * y) ** 2 < 40**2, snr, 0.0)
    signal = signal + ghost * np.roll(signal, 64, 0)
    noise = random.standard_normal((2, 128, 128))
    pixels = np.abs(signal + noise[0] + 1j * noise[1]).astype(np.float32)
    known = np.ones((128, 128), np.float32) if noise_known else None
    header = np.zeros((), IMAGE)[()]
    header["field_of_view"] = (256, 256, 5)
    header["slice"], header["repetition"], header["image_series_index"] = 3, 2, 1
    return Image(header, pixels[None, None], noise_std=known, **more)


def told(*messages, toml=TOML):
    """What is told of messages of one scan."""
    opinions = []
    assert list(quality(context(toml=toml, tell=opinions.append))(iter(messages))) == list(messages)
    return opinions


def flags(*messages, toml=TOML):
    return [opinion for opinion in told(*messages, toml=toml) if isinstance(opinion, Flag)]


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
    (flag,) = flags(disc(20, noise_known=True), toml=TOML.replace("[limits.snr]", "[limits.trust]"))
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


def test_figures_of_every_image_are_told_before_its_flags():
    figures, flag = told(disc(20, noise_known=True, meta={"Scanside.Engine": "fft"}))
    assert isinstance(figures, Quality)
    assert (figures.protocol, figures.slice, figures.repetition, figures.series) == ("test", 3, 2, 1)
    assert figures.engine == "fft"
    assert set(figures.figures) == set(figures.units) == set(UNITS)
    assert figures.figures["snr"] == pytest.approx(flag.score, abs=1e-4)
    assert set(figures.unknown) == {name for name, value in figures.figures.items() if value is None}


def test_there_are_words_and_advice_for_every_figure():
    assert set(WORDS) == set(UNITS)


def test_a_figure_is_flagged_only_where_the_scan_protocol_limits_it():
    spoilt = disc(40, noise_known=True, ghost=0.2)
    assert [flag.code for flag in flags(spoilt)] == ["snr"]
    _, ghosted = flags(spoilt, toml=GHOST)
    assert (ghosted.code, ghosted.severity, ghosted.advice) == ("gsr", Severity.WARN, "repeat the slice")
    assert ghosted.evidence["slice"] == 3
    assert ghosted.limit_id.endswith(":gsr")
    _, clean = flags(disc(40, noise_known=True, ghost=0.001), toml=GHOST)
    assert (clean.severity, clean.advice) == (Severity.PASS, "")


def test_what_cannot_be_told_of_any_image_of_a_scan_is_said_once():
    empty = [Image(np.zeros((), IMAGE)[()], np.zeros((1, 1, 32, 32), np.uint16)) for _ in range(3)]
    said = flags(*empty, toml=GHOST)
    assert [(flag.code, flag.severity) for flag in said] == [("snr", Severity.UNKNOWN), ("gsr", Severity.UNKNOWN)]
    assert "no object" in said[0].message
    assert sum(isinstance(opinion, Quality) for opinion in told(*empty)) == 3


def test_an_image_that_cannot_be_measured_leaves_with_the_verdict_unknown():
    header = np.zeros((), IMAGE)[()]
    (flag,) = told(Image(header, np.full((1, 1, 32, 32), np.nan, np.float32)))
    assert (flag.code, flag.severity) == ("snr", Severity.UNKNOWN)


def test_a_scan_protocol_called_network_is_no_network():
    spoilt = disc(40, noise_known=True, ghost=0.2).pixels
    named = {"ImageProcessingHistory": ["Scanside", "network"]}
    hiding = disc(40, noise_known=True, ghost=0.001, companion=lambda: spoilt, meta=named)
    assert [flag.severity for flag in flags(hiding, toml=GHOST)] == [Severity.PASS, Severity.WARN]


def test_an_artefact_that_the_network_has_hidden_is_flagged_from_the_linear_image_behind_it():
    spoilt = disc(40, noise_known=True, ghost=0.2).pixels
    hiding = disc(40, noise_known=True, ghost=0.001, companion=lambda: spoilt)
    figures, _, flag = told(hiding, toml=GHOST)
    assert (flag.code, flag.severity, flag.evidence["judged"]) == ("gsr", Severity.WARN, "linear")
    assert flag.message.startswith("the linear image behind")
    assert figures.figures["gsr_linear"] == pytest.approx(flag.score, abs=1e-4)
    difference = figures.figures["gsr"] - figures.figures["gsr_linear"]
    assert figures.figures["gsr_difference"] == pytest.approx(difference)
    assert difference < -0.1


def test_a_linear_image_that_was_sent_itself_is_not_flagged_twice():
    spoilt = disc(40, noise_known=True, ghost=0.2).pixels
    beside = {"ImageProcessingHistory": ["Scanside", "test", "network"]}
    hiding = disc(40, noise_known=True, ghost=0.001, companion=lambda: spoilt, meta=beside)
    figures, *passed = told(hiding, toml=GHOST)
    assert [flag.severity for flag in passed] == [Severity.PASS, Severity.PASS]
    assert figures.figures["gsr_linear"] > 0.1


def test_an_error_map_is_no_image_of_the_patient():
    assert told(disc(20, noise_known=True, meta={"ImageProcessingHistory": ["Scanside", "test", "error map"]})) == []


def test_the_linear_image_comes_in_the_size_and_scale_of_the_networks():
    header = headers([0])[0]
    linear = np.random.default_rng(0).standard_normal((1, 16, 16)).astype(np.complex64)
    made = Reconstruction(2 * linear, header, 0, "network", companion=linear)
    for pixels in ("uint16", "float32", "complex64"):
        (image,) = finish(context(scan(16, 16, recon=(8, 8, 1))), pixels)(iter([made]))
        behind = image.companion()
        assert (behind.shape, behind.dtype) == (image.pixels.shape, image.pixels.dtype)
        np.testing.assert_allclose(np.abs(image.pixels), 2 * np.abs(behind.astype(image.pixels.dtype)), atol=1.5)
        np.testing.assert_allclose(image.phased, 2 * image.behind(), rtol=1e-5)
        scale = float(image.meta["Scanside.Scale"])
        np.testing.assert_allclose(np.abs(image.pixels[0]), scale * np.abs(image.phased), rtol=1e-5, atol=0.51)


def test_a_series_faster_than_its_judge_is_judged_in_part_and_that_is_said_once(monkeypatch):
    monkeypatch.setattr("gadgets.quality.AHEAD_S", 0.0)

    def repetition(number):
        made = disc(20, noise_known=True)
        made.header["repetition"] = number
        return made

    series = [repetition(number) for number in range(20)]
    opinions = []
    assert list(quality(context(tell=opinions.append), share=0.01)(iter(series))) == series
    judged = [opinion for opinion in opinions if isinstance(opinion, Quality)]
    said = [opinion for opinion in opinions if isinstance(opinion, Flag) and opinion.code == "images_unjudged"]
    assert 1 <= len(judged) < len(series)
    assert judged[0].repetition == 0
    assert [flag.severity for flag in said] == [Severity.UNKNOWN]

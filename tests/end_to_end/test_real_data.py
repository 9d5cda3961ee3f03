"""Real raw data through the whole plugin: right pictures, the right way up, or a clear refusal."""

from pathlib import Path

import numpy as np
import pytest

from gadgets.serve import ServeOptions, running
from hw_sim.link import Session, play
from hw_sim.replay import read_recording

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"real raw data is not here ({DATA})")


@pytest.fixture(scope="module")
def replay():
    """Replay a file and keep what came back, so that each is sent once a chain."""
    kept = {}
    with running(ServeOptions(port=0)) as server:

        def once(name, config="default"):
            if (name, config) not in kept:
                recording = read_recording(DATA / f"{name}.h5")
                session = Session("127.0.0.1", server.port, config)
                kept[name, config] = play(session, recording.xml, recording.paced("max"))
            return kept[name, config]

        yield once


def picture(result, number=0):
    assert not [text for text in result.texts if text.startswith("ERR")]
    assert result.closed
    return result.images[number].image.pixels[0, 0].astype(float)


def nrmse(image, reference, where=...):
    """Root mean square error by root mean square of the reference, scale fitted."""
    image, reference = image[where], reference[where]
    scaled = image * (image * reference).sum() / (image**2).sum()
    return np.linalg.norm(scaled - reference) / np.linalg.norm(reference)


def brightness(image, rows, columns):
    return image[rows[0] : rows[1], columns[0] : columns[1]].mean()


@pytest.mark.parametrize(
    ("name", "limit"), [("brain16_r2", 0.036), ("brain16_r3", 0.050), ("brain16_r3_siemensflags", 0.050)]
)
def test_undersampled_brain_by_exact_columns_is_as_near_to_full_sampling_as_the_reference_inside_the_head(
    replay, name, limit
):
    full = picture(replay("brain16_gre"))
    result = replay(name)
    assert result.images[0].image.meta["Scanside.Engine"].startswith("columns")
    assert nrmse(picture(result), full, full > 0.1 * np.percentile(full, 99)) <= limit


@pytest.mark.parametrize(("name", "limit"), [("brain16_r2", 0.036), ("brain16_r3", 0.050)])
def test_undersampled_brain_by_grappa_is_as_near_to_the_root_sum_of_squares_as_the_reference_everywhere(
    replay, name, limit
):
    result = replay(name, "cartesian_grappa")
    assert result.images[0].image.meta["Scanside.Engine"] == "grappa"
    assert nrmse(picture(result), root_sum_of_squares("brain16_gre")) <= limit


def root_sum_of_squares(name):
    """The fully sampled reference by other means: one inverse FFT a coil."""
    recording = read_recording(DATA / f"{name}.h5")
    kspace = np.zeros((16, 128, 128), np.complex64)
    for batch in recording.readouts():
        kspace[:, batch.headers["idx"]["kspace_encode_step_1"]] = batch.samples.transpose(1, 0, 2)
    axes = (1, 2)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace, axes), axes=axes), axes)
    return np.sqrt((np.abs(images) ** 2).sum(0)).astype(float)


def test_all_three_spellings_of_the_same_brain_are_upright_with_the_front_at_the_top(replay):
    for name in ("brain16_gre", "brain16_r2", "brain16_r3"):
        result = replay(name)
        image = picture(result)
        header = result.images[0].image.header
        assert image.shape == (128, 128)
        inside = image > 0.1 * np.percentile(image, 99)
        rows = np.flatnonzero(inside.sum(1) > 10)
        widths = inside[rows].sum(1)
        assert widths[: len(rows) // 4].mean() < widths[-len(rows) // 4 :].mean()  # a narrow forehead
        np.testing.assert_allclose(header["phase_dir"], (0, 1, 0), atol=1e-5)  # rows run to posterior
        np.testing.assert_allclose(header["read_dir"], (-1, 0, 0), atol=1e-5)  # columns run to the right


def test_a_product_scan_is_turned_so_that_its_air_bubble_is_at_the_top(replay):
    result = replay("gre2_skyra")
    image = picture(result)
    assert result.images[0].image.meta["Scanside.Protocol"] == "siemens_product"
    assert image.shape == (160, 160)
    widths = (image > 0.3 * np.percentile(image, 99)).sum(1)
    steps = np.abs(np.diff(widths))
    assert steps[:30].max() > 2 * steps[-30:].max()  # air lies flat on the water: its edge is a whole chord


def test_a_seven_tesla_scan_whose_readouts_run_backwards_shows_the_disc_in_the_middle(replay):
    image = picture(replay("gre7t_phantom"))
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    bright = image > 0.3 * np.percentile(image, 99)
    assert abs(x[bright].mean() - 128) < 12
    assert abs(y[bright].mean() - 128) < 20
    assert brightness(image, (0, 20), (0, 20)) < 0.15 * brightness(image, (100, 156), (100, 156))


def test_a_scan_whose_centre_line_is_not_the_middle_one_uses_every_line(replay):
    result = replay("phantom32_se")
    image = picture(result)
    assert result.images[0].image.meta["Scanside.Lines"] == "64 of 64"
    assert brightness(image, (44, 56), (20, 44)) > 1.5 * brightness(image, (12, 24), (20, 44))  # bright at the bottom


def test_three_echoes_are_three_series_that_show_the_same_phantom(replay):
    result = replay("gre3echo_prisma")
    assert [int(a.image.header["image_series_index"]) for a in result.images] == [1, 2, 3]
    assert [a.image.meta["EchoTime"] for a in result.images] == ["4", "9", "15"]
    first = picture(result)
    for number in (1, 2):
        assert np.corrcoef(first.ravel(), picture(result, number).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("config", ["default", "cartesian"])
@pytest.mark.parametrize(
    "name", ["epi1_trio_basic", "epi2_skyra_bold", "epi4_trio_ramp", "epi4_trio_ramp_nope", "brain8_poisson"]
)
def test_what_is_not_supported_yet_is_said_and_makes_no_image(replay, name, config):
    result = replay(name, config)
    assert any(text.startswith("ERR") and "not supported yet" in text for text in result.texts)
    assert result.images == []
    assert result.closed

"""Laws of the figures of an image: formulas by hand, invariances, and the right one moves when something goes wrong."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from engines.quality.image import UNITS, Shown, measure
from engines.quality.image_masks import Masks, grown, masks_of, otsu, shrunk
from engines.quality.image_metrics import cjv, cnr, efc, fber, fwhm_mm, gsr, qi_1, snr_total, snrd
from engines.quality.image_tissue import Tissue, falloff_db, shading_of, tissues_of, void_share

SIZE = 128
NOISE = 2.0
SIGNAL = 100.0
Y, X = np.mgrid[-64:64, -64:64].astype(np.float32)
DISC = ((Y / 30) ** 2 + (X / 40) ** 2 < 1).astype(np.float32)


def noisy(signal, seed=1, noise=NOISE):
    parts = noise * np.random.default_rng(seed).standard_normal((2, *signal.shape))
    return np.abs(signal + parts[0] + 1j * parts[1]).astype(np.float32)


def anatomy(seed=3):
    """An object of several brightnesses, as smooth as a scan's, that fills less than half of the image."""
    texture = gaussian_filter(np.random.default_rng(seed).standard_normal((SIZE, SIZE)), 3)
    return gaussian_filter(SIGNAL * DISC * (1 + 0.15 * texture / texture.std()), 0.7).astype(np.float32)


def figures(pixels, **more):
    return measure(Shown(pixels.astype(np.float32), **more)).figures


def alike(one, other, rel):
    """Whether the same figures are known, and have the same values."""
    known = {name: value for name, value in one.items() if value is not None}
    return known == pytest.approx({name: v for name, v in other.items() if v is not None}, rel=rel, abs=1e-3)


def drawn(tissue, air, artefact=None):
    """Masks as a hand draws them."""
    nothing = np.zeros_like(air)
    return Masks(tissue, tissue, air, nothing if artefact is None else artefact, 1.0, "")


HALVES = np.indices((2, 4))[0] == 0
BY_HAND = np.array([[4, 4, 4, 4], [0, 2, 0, 2]], np.float32)


def test_metrics_are_those_of_a_case_worked_by_hand():
    masks = drawn(HALVES, ~HALVES)
    dark, bright = Tissue(10.0, 3.0, 9), Tissue(20.0, 4.0, 9)
    assert cjv((dark, bright)) == pytest.approx(7 / 10)
    assert snr_total((dark, bright)) == pytest.approx((10 / 3 + 20 / 4) / 2 * np.sqrt(8 / 9))
    assert cnr(BY_HAND, (dark, bright), masks) == pytest.approx(10 / np.sqrt(1 + 9 + 16))
    assert snrd(BY_HAND, masks) == pytest.approx(4 / 1 / np.sqrt(2 / (4 - np.pi)))
    assert fber(BY_HAND, masks) == pytest.approx(16)
    assert qi_1(drawn(HALVES, ~HALVES, BY_HAND == 2)) == 0.5


def test_entropy_is_one_where_all_pixels_are_alike_and_nought_where_one_has_all():
    assert efc(np.full((16, 16), 3.0, np.float32)) == pytest.approx(1, abs=1e-6)
    one = np.zeros((16, 16), np.float32)
    one[5, 5] = 7
    assert efc(one) == pytest.approx(0, abs=1e-6)
    assert efc(np.zeros((16, 16), np.float32)) is None


def test_a_ghost_drawn_at_half_the_field_of_view_is_told_by_its_size_and_sign():
    tissue = (np.abs(Y) < 20) & (np.abs(X) < 20)
    masks = drawn(tissue, ~grown(tissue, 3))
    image = 10 * tissue + 1.0 + 0.5 * np.roll(tissue, 64, 0)
    assert gsr(image.astype(np.float32), masks, 0) == pytest.approx(0.5 / 11)
    assert gsr((12 * tissue + 1.0 - 0.5 * np.roll(tissue, 64, 0)).astype(np.float32), masks, 0) < 0


@pytest.mark.parametrize(("sigma", "pixel_mm"), [(1.0, 2.0), (2.0, 1.0), (3.0, 0.5)])
def test_smoothness_is_that_of_the_gaussian_that_noise_was_blurred_with(sigma, pixel_mm):
    blurred = gaussian_filter(np.random.default_rng(0).standard_normal((256, 256)), sigma, mode="wrap")
    everywhere = np.ones_like(blurred, bool)
    found = fwhm_mm(blurred.astype(np.float32), drawn(everywhere, ~everywhere), 0, pixel_mm)
    assert found == pytest.approx(2.3548 * sigma * pixel_mm, rel=0.05)


def test_the_object_is_found_under_the_shading_of_a_coil_and_its_hole_is_filled():
    hole = (Y**2 + X**2 < 8**2).astype(np.float32)
    shaded = SIGNAL * DISC * (1 - hole) * np.exp(-X / 50)
    masks = masks_of(noisy(shaded))
    assert np.count_nonzero(masks.hull != (DISC > 0)) / DISC.sum() < 0.05
    assert not (masks.air & (DISC > 0)).any()
    assert masks.noise == pytest.approx(NOISE, rel=0.03)


def test_otsus_share_of_variance_tells_two_classes_from_one():
    random = np.random.default_rng(2)
    one = random.standard_normal(20000)
    threshold, share = otsu(np.concatenate([one, one + 8]))
    assert 3 < threshold < 5
    assert share > 0.9
    assert otsu(one)[1] == pytest.approx(2 / np.pi, abs=0.02)
    assert otsu(np.ones(9)) == (0.0, 0.0)


def test_a_mask_that_is_grown_and_shrunk_again_is_the_same_if_it_has_no_gaps():
    square = np.zeros((20, 20), bool)
    square[5:12, 6:15] = True
    assert (shrunk(grown(square, 3), 3) == square).all()
    assert grown(square, 2).sum() == (7 + 4) * (9 + 4)


def test_two_tissues_are_told_where_there_are_two_and_not_where_there_is_one():
    two = SIGNAL * DISC * np.where(X < 0, 1.0, 0.5)
    flat = np.ones_like(two)
    dark, bright = tissues_of(noisy(two), flat, masks_of(noisy(two)))
    assert (dark.mean, bright.mean) == (pytest.approx(50, rel=0.02), pytest.approx(100, rel=0.02))
    assert (dark.std, bright.std) == (pytest.approx(NOISE, rel=0.15), pytest.approx(NOISE, rel=0.15))
    assert tissues_of(noisy(SIGNAL * DISC), flat, masks_of(noisy(SIGNAL * DISC))) is None


@pytest.mark.parametrize("decibels", [0, 6, 12])
def test_the_fall_off_of_a_coil_is_measured_in_decibels(decibels):
    gain = 10 ** (-decibels / 20 * X / 80)  # the object spans 80 columns
    image = noisy(SIGNAL * DISC * gain, noise=0.5)
    masks = masks_of(image)
    ninety = np.percentile(X[DISC > 0], 95) - np.percentile(X[DISC > 0], 5)
    assert falloff_db(shading_of(image, masks), masks) == pytest.approx(decibels * ninety / 80, rel=0.1, abs=0.4)


def test_a_void_is_measured_by_its_area_and_a_clean_object_has_none():
    hole = (Y**2 + (X - 10) ** 2 < 10**2).astype(np.float32)
    image, whole = noisy(SIGNAL * DISC * (1 - hole)), noisy(SIGNAL * DISC)
    masks = masks_of(image)
    share = void_share(image, np.ones_like(image), masks)
    assert share == pytest.approx(hole.sum() / DISC.sum(), rel=0.25)
    assert void_share(whole, np.ones_like(whole), masks_of(whole)) == 0


def test_the_snr_put_in_is_found_with_expected_noise_and_without():
    image = noisy(SIGNAL * DISC)
    assert figures(image)["snr"] == pytest.approx(SIGNAL / NOISE, rel=0.05)
    known = figures(image, noise_std=np.full_like(image, NOISE / 2))["snr"]
    assert known == pytest.approx(2 * SIGNAL / NOISE, rel=0.05)
    assert figures(image)["snrd"] == pytest.approx(SIGNAL / NOISE, rel=0.05)


def test_scale_changes_no_figure():
    image = noisy(anatomy())
    assert alike(figures(37.5 * image), figures(image), rel=1e-3)


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr])
def test_a_mirrored_image_has_the_same_figures(turn):
    image = noisy(anatomy())
    assert alike(figures(turn(image)), figures(image), rel=0.01)


def test_a_turned_image_has_the_same_figures_but_those_with_a_direction():
    image = noisy(anatomy())
    turned, as_it_was = figures(np.rot90(image)), figures(image)
    assert turned["fwhm_x"] == pytest.approx(as_it_was["fwhm_y"], rel=0.02)
    names = ("snr", "snrd", "efc", "fber", "qi_1", "falloff", "voids")
    assert alike({name: turned[name] for name in names}, {name: as_it_was[name] for name in names}, rel=0.01)


def ghost(image, share):
    return image + share * np.roll(image, SIZE // 2, 0)


def wrapped(image, share):
    """The object hangs over the end of the field of view by a share of its length."""
    return np.roll(image, round(34 + 60 * share), 0)


def blurred(image, share):
    return gaussian_filter(image, 10 * share)


def louder(image, share):
    return image


def void(image, share):
    return image * (share * 40 * 30 < Y**2 + X**2)


def shaded(image, share):
    return image * np.exp(-share * 3 * X / 40)


SPOILT = {
    "ghost": (ghost, "gsr", 1, {"falloff", "voids", "fwhm_x", "fwhm_y"}),
    "wrap": (wrapped, "edge_signal", 1, {"falloff", "snr", "efc", "voids"}),
    "blur": (blurred, "fwhm_x", 1, {"snr", "gsr", "voids", "falloff", "edge_signal"}),
    "noise": (louder, "snr", -1, {"falloff", "voids", "gsr", "edge_signal"}),
    "void": (void, "voids", 1, {"snr", "gsr", "edge_signal", "qi_1"}),
    "shading": (shaded, "falloff", 1, {"voids", "edge_signal", "gsr"}),
}
SLACK = {"gsr": 0.01, "edge_signal": 2.0, "voids": 1.0, "falloff": 1.0, "qi_1": 0.005}


@pytest.mark.parametrize("what", SPOILT)
def test_the_right_figure_moves_with_the_strength_of_an_artefact_and_others_hardly_do(what):
    spoil, moved, sign, kept = SPOILT[what]
    clean = figures(noisy(anatomy()))
    seen = [clean]
    for share in (0.01, 0.05, 0.1, 0.2) if what == "ghost" else (0.1, 0.2, 0.3):
        noise = NOISE * (1 + 10 * share) if what == "noise" else NOISE
        seen.append(figures(noisy(spoil(anatomy(), share), noise=noise)))
    steps = sign * np.diff([each[moved] for each in seen])
    assert (steps > 0).all(), [each[moved] for each in seen]
    for name in kept:
        assert seen[-1][name] == pytest.approx(clean[name], rel=0.1, abs=SLACK.get(name, 0)), name


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.25])
def test_the_ghosts_share_is_found(share):
    measured = figures(noisy(ghost(anatomy(), share), noise=0.05))["gsr"]
    assert measured == pytest.approx(share, rel=0.25)


def test_an_image_that_is_zero_outside_the_object_says_why_the_air_tells_nothing():
    image = noisy(SIGNAL * DISC) * grown(DISC > 0, 2)
    told = measure(Shown(image.astype(np.float32)))
    for name in ("snrd", "fber", "qi_1", "gsr"):
        assert told.figures[name] is None
        assert "zero outside the object" in told.unknown[name]
    assert told.figures["edge_signal"] == 0
    assert told.noise_from == "nothing"


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((64, 64)), "no object"),
        (np.full((64, 64), SIGNAL), "no air is left"),
        (np.full((1, 8), SIGNAL), "no"),
    ],
)
def test_an_image_without_object_or_without_air_says_so(image, reason):
    told = measure(Shown(image.astype(np.float32)))
    assert reason in told.unknown["snrd"]
    assert set(told.figures) == set(UNITS)
    assert all((value is None) == (name in told.unknown) for name, value in told.figures.items())


def test_wrap_is_not_judged_where_phase_oversampling_was_cut_off():
    assert "cut off" in measure(Shown(noisy(anatomy()), cut=True)).unknown["edge_signal"]


def test_smoothness_in_millimetres_is_not_told_where_the_size_of_a_pixel_is_not_known():
    told = measure(Shown(noisy(anatomy()), pixel_mm=(0.0, 2.0)))
    assert "not known" in told.unknown["fwhm_y"]
    assert told.figures["fwhm_x"] > 0

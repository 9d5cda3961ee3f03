"""Laws of the mean head upon a scout: it comes to lie where the head lies, in any contrast, under any shading."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from engines.model import load_model
from engines.positioning.grid import Sheet
from engines.positioning.laid import laid, laid_from
from engines.positioning.mean_head import BEND_MM, REACH_MM, STEP_MM, Lattice, mean_head, packed
from engines.positioning.pose import Pose
from engines.positioning.scout import Scout
from engines.positioning.settle import agreed, apart, kind_of, settled
from engines.positioning.surfaces import Outline
from engines.positioning.template import template_of

TURNED = Rotation.from_euler("xyz", (14.0, -9.0, 20.0), degrees=True).as_matrix()
TRUE = Pose(TURNED, 1.05, np.array((12.0, -8.0, 15.0)))
CONTRASTS = {
    "as it is": lambda values: values,
    "turned over": lambda values: np.where(values > 0.05, 0.9 - values, 0.0),
    "flat": lambda values: np.sqrt(np.maximum(values, 0.0)),
}


@pytest.fixture(scope="module")
def template():
    return template_of(load_model("head_landmarks"))


def scout(mean, pose=TRUE, contrast="as it is", snr=15.0, shade=True, seed=0):
    """The mean head as it would lie in a scanner: 64 x 64 x 56 voxels of 4.5 mm, in noise."""
    affine = np.diag((4.5, 4.5, 4.5, 1.0))
    affine[:3, 3] = -4.5 * np.array((32, 32, 28))
    places = np.indices((56, 64, 64))[::-1].reshape(3, -1).T * 4.5 + affine[:3, 3]
    at = (pose.to_template(places) @ mean.inverse[:3, :3].T + mean.inverse[:3, 3]).T[::-1]
    values = CONTRASTS[contrast](ndimage.map_coordinates(mean.values, at, order=1, cval=0.0))
    if shade:
        values = values * np.exp(0.006 * places[:, 0] - 0.004 * places[:, 2] + (places[:, 1] / 150) ** 2)
    chance = np.random.default_rng(seed)
    noise = chance.standard_normal((2, len(values))) * np.median(values[values > 0.1]) / snr
    pixels = np.hypot(values + noise[0], noise[1]).reshape(56, 64, 64).astype(np.float32)
    return Scout(pixels, affine, None, "HFS", (0.0, 0.0, 0.0), "scout", 0.0)


def beside(pose, deg, mm):
    turn = Rotation.from_rotvec(np.deg2rad(deg) * np.array((0.6, -0.5, 0.62))).as_matrix()
    return Pose(turn @ pose.turn, 1.0, pose.shift_mm + mm * np.array((0.6, 0.6, -0.5)))


def off(found, pose, template):
    """Degrees by which it is turned, and mm by which half of the landmarks lie off."""
    deg = np.rad2deg(Rotation.from_matrix(found.posed.turn @ pose.turn.T).magnitude())
    marks = template.laid_mm[list(template.landmarks())]
    return deg, np.median(np.linalg.norm(found.to_scanner(marks) - pose.to_scanner(marks), axis=1))


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_it_comes_to_lie_where_the_head_lies(template, contrast):
    found = laid(Sheet(scout(template.mean, contrast=contrast)), template.mean, beside(TRUE, 6.0, 5.0))
    deg, mm = off(found, TRUE, template)
    assert deg < 0.4
    assert mm < 0.8
    assert kind_of(found) == ("unlike" if contrast == "turned over" else "alike")


def test_the_signal_of_a_poor_scout_is_enough(template):
    deg, mm = off(laid(Sheet(scout(template.mean, snr=5.0)), template.mean, beside(TRUE, 4.0, 4.0)), TRUE, template)
    assert deg < 0.6
    assert mm < 1.0


@pytest.mark.parametrize(("longer", "believed"), [(1.08, True), (1.5, False)])
def test_heads_differ_in_length_but_none_by_half(template, longer, believed):
    seen = scout(template.mean, Pose(np.eye(3), 1.0, np.zeros(3)))
    stretched = replace(seen, affine=np.diag((1.0, 1.0, longer, 1.0)) @ seen.affine)
    found = laid(Sheet(stretched), template.mean, Pose(np.eye(3), longer ** (1 / 3), np.zeros(3)))
    sizes = np.linalg.svd(found.matrix, compute_uv=False) / found.posed.scale
    assert sizes[0] / sizes[-1] == pytest.approx(longer if believed else 1.0, abs=0.03)


def test_places_go_to_the_scanner_and_back(template):
    found = laid(Sheet(scout(template.mean)), template.mean, beside(TRUE, 3.0, 3.0))
    there = found.to_scanner(template.laid_mm)
    np.testing.assert_allclose(found.to_mean(there), template.laid_mm, atol=0.05)


def test_a_file_holds_the_same_mean_head(template):
    again = mean_head(packed(template.mean))
    np.testing.assert_array_equal(again.values, template.mean.values)
    np.testing.assert_array_equal(again.affine, template.mean.affine)


def test_noise_agrees_with_no_pose_and_an_empty_scout_with_none(template):
    noise = scout(template.mean)
    noise.pixels[:] = np.abs(np.random.default_rng(0).standard_normal(noise.pixels.shape))
    assert not agreed(template, laid(Sheet(noise), template.mean, TRUE), TRUE)
    noise.pixels[:] = np.nan
    assert laid(Sheet(noise), template.mean, TRUE) is None


def test_directions_are_those_of_the_body_and_not_of_single_points(template):
    found = laid(Sheet(scout(template.mean)), template.mean, beside(TRUE, 3.0, 3.0))
    wild = found.to_scanner(template.laid_mm) + np.random.default_rng(0).normal(0, 3, template.laid_mm.shape)
    places, covariance = settled(template, found, found.posed, wild, np.ones(len(wild)))
    apart = places[list(template.plane)] - places[list(template.plane)].mean(axis=0)
    _, extents, directions = np.linalg.svd(apart)
    assert extents[2] < 1e-6
    first, second = template.line
    line, own = places[second] - places[first], template.laid_mm[second] - template.laid_mm[first]
    for got, wanted in ((directions[2], (1, 0, 0)), (line, own)):
        wanted = TRUE.turn @ wanted
        sine = np.linalg.norm(np.cross(got, wanted)) / np.linalg.norm(got) / np.linalg.norm(wanted)
        assert sine < np.sin(np.deg2rad(0.7))
    np.testing.assert_allclose(covariance, covariance.T, atol=1e-9)


def test_what_is_known_of_half_a_brain_is_believed_half_as_much(template):
    whole = laid(Sheet(scout(template.mean)), template.mean, beside(TRUE, 3.0, 3.0))
    seen = scout(template.mean)
    seen.pixels[::2] = np.nan
    half = laid(Sheet(seen), template.mean, beside(TRUE, 3.0, 3.0))
    assert whole.measured > 0.99
    there = whole.to_scanner(template.laid_mm), np.ones(len(template.names))
    plain = replace(template, doubts={})
    one, other = (np.trace(settled(plain, lies, lies.posed, *there)[1]) / lies.posed.scale**2 for lies in (whole, half))
    assert other / one == pytest.approx(0.9 / half.measured, rel=0.02)
    assert 1.2 < other / one < 3.0


def test_regions_grow_with_what_registration_and_networks_differ_by(template):
    lies = laid(Sheet(scout(template.mean)), template.mean, beside(TRUE, 3.0, 3.0))
    knows = replace(template, doubts={"alike": (1.0, 2.0)})
    same, there = lies.to_scanner(template.laid_mm), np.ones(len(template.names))
    other = same + np.array((4.0, 0.0, 0.0))
    assert apart(knows, lies, same, there) == pytest.approx(0.0)
    ratio = apart(knows, lies, other, there)
    assert ratio > 2.0
    one, two = (np.trace(settled(knows, lies, lies.posed, found, there)[1]) for found in (same, other))
    assert two / one == pytest.approx(ratio**2)
    unknown = np.trace(settled(replace(template, doubts={}), lies, lies.posed, other, there)[1])
    assert one / unknown == pytest.approx(4.0)


@pytest.mark.parametrize("snr", [5.0, 12.0, 30.0])
def test_air_is_no_head_whatever_the_noise(template, snr):
    seen = scout(template.mean, snr=snr, seed=3)
    sheet = Sheet(seen)
    found = laid(sheet, template.mean, beside(TRUE, 3.0, 3.0))
    outline = Outline(sheet, TRUE, template, None, found)
    true = TRUE.to_scanner(template.mean.skin_mm)
    got = outline.points_mm()
    assert not outline.cut()
    for axis in range(3):
        high = true[:, axis].max()
        assert abs(got[:, axis].max() - high) < 10.0


def test_a_head_that_reaches_far_beyond_the_scout_is_cut(template):
    high = Pose(TRUE.turn, TRUE.scale, TRUE.shift_mm + np.array((0.0, 0.0, 70.0)))
    sheet = Sheet(scout(template.mean, high))
    assert Outline(sheet, high, template, None, laid(sheet, template.mean, high)).cut()


def test_nodes_that_no_place_pulls_at_follow_the_others_as_in_the_whole_process():
    chance = np.random.default_rng(5)
    direction = chance.standard_normal((60, 3))
    places = 55.0 * direction / np.linalg.norm(direction, axis=1, keepdims=True)  # none in the middle or a corner
    lattice = Lattice(places)
    assert 0 < len(lattice.stiffness) < lattice.size
    nodes = np.stack(np.meshgrid(*map(np.arange, lattice.count), indexing="ij"), -1).reshape(-1, 3) * STEP_MM
    apart = np.linalg.norm(nodes[:, None] - nodes, axis=-1) * (3**0.5 / REACH_MM)
    whole = np.linalg.inv(BEND_MM**2 * (1 + apart) * np.exp(-apart) + 1e-6 * np.eye(lattice.size))
    seen_mm = chance.standard_normal(len(places))
    shares, some = lattice.shares(places).toarray(), lattice.pulled.toarray()
    wanted = np.linalg.solve(whole + shares.T @ shares, shares.T @ seen_mm)
    found = lattice.following @ np.linalg.solve(lattice.stiffness + some.T @ some, some.T @ seen_mm)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_of_several_beginnings_one_that_fits_is_found_and_nothing_where_none_does(template):
    sheet, near = Sheet(scout(template.mean)), beside(TRUE, 3.0, 3.0)
    swollen = Pose(near.turn, 1.6, near.shift_mm)

    def fits(lies):
        return agreed(template, lies, TRUE)

    assert not fits(laid(sheet, template.mean, swollen))
    for poses in ((swollen, near), (near, swollen)):
        found = laid_from(sheet, template.mean, poses, fits)
        np.testing.assert_allclose(found.posed.scale, 1.05, atol=0.01)
    assert laid_from(sheet, template.mean, (swollen,), fits) is None


def test_the_first_beginning_is_taken_where_others_look_no_better(template):
    sheet, near = Sheet(scout(template.mean)), beside(TRUE, 3.0, 3.0)
    alone = laid(sheet, template.mean, near)
    other = Pose(near.turn, 0.97, near.shift_mm)
    found = laid_from(sheet, template.mean, (near, other), lambda _: True)
    np.testing.assert_array_equal(found.matrix, alone.matrix)

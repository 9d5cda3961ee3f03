"""Where pixels lie: round trips over patient positions, orientations and flips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import mrd
from protocols.errors import LocalError, PeerError
from protocols.geometry import (
    DEVICE_FROM_PATIENT,
    ORIENTATIONS,
    Grid,
    Handedness,
    device_from_patient,
    dicom_orientation,
    dicom_position_mm,
    dicom_spacing_mm,
    flip,
    grid_of,
    handedness,
    lps_from_pixel,
    patient_from_device,
    pixel_from_lps,
    place,
    quaternion_of,
    rotated,
    rotation_of,
)

CLOSE_MM = 1e-3
laws = settings(deadline=None)
positions = st.sampled_from(sorted(DEVICE_FROM_PATIENT))
mm = st.floats(-300, 300, width=32)
vectors = st.tuples(mm, mm, mm)
turns = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)
small = st.integers(1, 12)


@st.composite
def grids(draw):
    read, phase, slice_ = ORIENTATIONS[draw(st.sampled_from(sorted(ORIENTATIONS)))]
    fov_mm = tuple(draw(st.floats(1, 500, width=32)) for _ in range(3))
    straight = Grid((draw(small), draw(small), draw(small)), fov_mm, draw(vectors), read, phase, slice_)
    return rotated(straight, rotation_of(draw(turns)))


@laws
@given(grids(), st.lists(vectors, min_size=1, max_size=4), positions)
def test_pixel_to_patient_to_device_and_back_is_nothing(grid, index, position):
    index = np.array(index)
    device_mm = device_from_patient(lps_from_pixel(grid, index), position)
    lps_mm = patient_from_device(device_mm, position)
    assert np.abs(lps_from_pixel(grid, pixel_from_lps(grid, lps_mm)) - lps_from_pixel(grid, index)).max() < CLOSE_MM


@laws
@given(grids(), st.sets(st.integers(0, 2)), st.integers(0, 2**32 - 1))
def test_every_pixel_stays_where_it_was_in_the_patient_however_axes_are_flipped(grid, axes, seed):
    x, y, z = grid.matrix
    pixels = np.random.default_rng(seed).random((z, y, x))
    where_mm = lps_from_pixel(grid, np.stack(np.indices((z, y, x))[::-1], -1))
    flipped, turned = pixels, grid
    for axis in axes:
        flipped, turned = flip(flipped, turned, axis)
    for index in np.ndindex(flipped.shape):
        at_mm = lps_from_pixel(turned, np.array(index[::-1]))
        place_in_old = np.unravel_index(np.abs(where_mm - at_mm).sum(-1).argmin(), pixels.shape)
        assert flipped[index] == pixels[place_in_old]
        assert np.abs(where_mm[place_in_old] - at_mm).max() < CLOSE_MM


@laws
@given(grids(), st.integers(0, 2))
def test_flipping_twice_is_nothing(grid, axis):
    pixels = np.arange(np.prod(grid.matrix)).reshape(grid.matrix[::-1])
    again, back = flip(*flip(pixels, grid, axis), axis)
    assert (again == pixels).all()
    assert np.allclose(back.position_mm, grid.position_mm, atol=CLOSE_MM)
    assert np.allclose(back.axes(), grid.axes())


@laws
@given(grids())
def test_an_image_header_carries_the_grid_within_a_micrometre_or_so(grid):
    back = grid_of(place(np.zeros(1, mrd.IMAGE)[0], grid))
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.matrix) - 1)
    assert np.abs(lps_from_pixel(back, corners) - lps_from_pixel(grid, corners)).max() < CLOSE_MM


@laws
@given(grids(), st.integers(0, 11), st.integers(0, 11))
def test_dicom_puts_each_pixel_where_we_do(grid, column, row):
    across, down = np.array(dicom_orientation(grid)).reshape(2, 3)
    rows_mm, columns_mm = dicom_spacing_mm(grid)
    at_mm = np.array(dicom_position_mm(grid, 1)) + across * columns_mm * column + down * rows_mm * row
    assert np.abs(at_mm - lps_from_pixel(grid, np.array((column, row, 1)))).max() < CLOSE_MM


def test_the_position_is_where_a_centred_fft_puts_the_centre():
    grid = Grid((4, 5, 1), (40.0, 50.0, 3.0), (1.0, 2.0, 3.0), *ORIENTATIONS["axial"])
    assert lps_from_pixel(grid, np.array((2, 2, 0))) == pytest.approx((1, 2, 3))
    assert dicom_position_mm(grid) == pytest.approx((1 - 20, 2 - 20, 3))


@laws
@given(turns)
def test_a_rotation_to_quaternion_and_back_is_nothing(quaternion):
    rotation = rotation_of(quaternion)
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.allclose(rotation_of(quaternion_of(rotation)), rotation)


def test_a_quarter_turn_about_z_takes_x_to_y():
    half = np.sqrt(0.5)
    assert np.allclose(rotation_of((0, 0, half, half)) @ (1, 0, 0), (0, 1, 0))
    assert quaternion_of(rotation_of((0, 0, half, half))) == pytest.approx((0, 0, half, half))


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, np.nan)])
def test_no_rotation_is_our_own_mistake(quaternion):
    with pytest.raises(LocalError, match="no rotation"):
        rotation_of(quaternion)


@laws
@given(positions)
def test_the_device_frame_is_right_handed_for_every_patient_position(position):
    assert np.linalg.det(DEVICE_FROM_PATIENT[position]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("position", "axis", "device"),
    [
        ("HFS", "left", (1, 0, 0)),
        ("HFS", "anterior", (0, -1, 0)),
        ("HFS", "superior", (0, 0, 1)),
        ("HFP", "anterior", (0, 1, 0)),
        ("HFP", "left", (-1, 0, 0)),
        ("HFDR", "right", (0, 1, 0)),
        ("HFDL", "left", (0, 1, 0)),
        ("FFS", "superior", (0, 0, -1)),
        ("FFS", "anterior", (0, -1, 0)),
        ("FFS", "left", (-1, 0, 0)),
        ("FFP", "anterior", (0, 1, 0)),
        ("FFDR", "right", (0, 1, 0)),
        ("FFDL", "left", (0, 1, 0)),
        ("FFDL", "superior", (0, 0, -1)),
    ],
)
def test_a_patient_lies_as_the_position_says(position, axis, device):
    lps = {"left": (1, 0, 0), "right": (-1, 0, 0), "anterior": (0, -1, 0), "superior": (0, 0, 1)}[axis]
    assert tuple(device_from_patient(np.array(lps), position)) == device


def test_an_unknown_patient_position_is_named_with_the_known_ones():
    with pytest.raises(LocalError, match="'HFX'; known are HFS, HFP"):
        device_from_patient(np.zeros(3), "HFX")


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_orientations_are_right_handed(name):
    assert handedness(*ORIENTATIONS[name]) is Handedness.RIGHT


def test_directions_are_judged_and_not_rejected_for_their_hand():
    left = ((1, 0, 0), (0, 1, 0), (0, 0, -1))
    assert handedness(*left) is Handedness.LEFT
    assert handedness(*np.zeros((3, 3))) is Handedness.MISSING
    assert handedness((1, 0, 0), (0, 0.70710, 0.70711), (0, -0.7071, 0.7071)) is Handedness.RIGHT


@pytest.mark.parametrize("read", [(2, 0, 0), (0, 1, 0), (np.nan, 0, 0), (0, 0, 0)])
def test_directions_that_span_nothing_are_the_peers_mistake(read):
    with pytest.raises(PeerError, match="perpendicular unit vectors were wanted"):
        handedness(read, (0, 1, 0), (0, 0, 1))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"read_dir": 0, "phase_dir": 0, "slice_dir": 0}, "all directions are zero"),
        ({"matrix_size": (4, 0, 1)}, "matrix 4 x 0 x 1"),
        ({"field_of_view": (100, np.nan, 5)}, "field of view"),
    ],
)
def test_a_header_without_geometry_is_the_peers_mistake(change, match):
    grid = Grid((4, 4, 1), (40.0, 40.0, 5.0), (0.0, 0.0, 0.0), *ORIENTATIONS["axial"])
    header = place(np.zeros(1, mrd.IMAGE)[0], grid)
    for name, value in change.items():
        header[name] = value
    with pytest.raises(PeerError, match=match):
        grid_of(header)

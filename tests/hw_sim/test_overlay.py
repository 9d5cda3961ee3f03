"""What the console draws on a scout lies where the slices lie, and the truth it compares with is the truth."""

import numpy as np
import pytest

from engines.positioning.prescribe import prescribe
from hw_sim.devices import Pose, carried
from hw_sim.head import mni_head
from hw_sim.landmarks import head_landmarks
from hw_sim.overlay import cut, overlay, views
from hw_sim.planned import measured
from hw_sim.truth import MNI_AT_REST, true_stack
from protocols.anatomy import find_anatomy
from protocols.geometry import Grid, place, rotation_of
from protocols.messages import Image
from protocols.mrd import IMAGE
from protocols.stack import Stack, apart, centres_mm

READ, PHASE, SLICE = (tuple(row) for row in rotation_of((0.2, -0.3, 0.1, 1)).T.tolist())
STACK = Stack(
    centre_mm=(5.0, -3.0, 20.0), read_dir=READ, phase_dir=PHASE, slice_dir=SLICE, field_of_view_mm=(180.0, 120.0),
    thickness_mm=4.0, gap_mm=1.0, slices=7,
)  # fmt: skip
POSE = Pose((10.0, -4.0, -5.0), (8.0, -5.0, 12.0))


def image(matrix, fov, centre=(0.0, 0.0, 0.0), axes=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), series=1):
    grid = Grid(matrix, fov, centre, *axes)
    header = place(np.zeros(1, IMAGE)[0], grid)
    header["image_series_index"] = series
    pixels = np.zeros((1, *matrix[::-1]), np.float32)
    pixels[0, matrix[2] // 2, matrix[1] // 2, matrix[0] // 2] = 1.0
    return Image(header, pixels)


def test_a_slice_is_drawn_where_it_meets_the_view_and_within_its_field_of_view():
    volume = image((32, 32, 32), (256.0, 256.0, 256.0))
    for view in views([volume], STACK.centre_mm):
        lines = dict(cut(STACK, view.grid))
        assert lines
        for number, ends in lines.items():
            away = ends - centres_mm(STACK)[number]
            assert np.abs(away @ np.array(SLICE)).max() < 1e-9
            assert np.abs(away @ np.array(READ)).max() < 90 + 1e-9
            assert np.abs(away @ np.array(PHASE)).max() < 60 + 1e-9
            assert np.abs((ends - np.array(view.grid.position_mm)) @ np.array(view.grid.slice_dir)).max() < 1e-9


def test_slices_parallel_to_a_view_are_no_lines_in_it():
    axial = STACK.model_copy(
        update={"read_dir": (1.0, 0.0, 0.0), "phase_dir": (0.0, 1.0, 0.0), "slice_dir": (0.0, 0.0, 1.0)}
    )
    drawn = [len(list(cut(axial, view.grid))) for view in views([image((8, 8, 8), (80.0, 80.0, 80.0))], (0, 0, 0))]
    assert drawn == [0, 7, 7]


def test_a_view_through_a_volume_shows_a_bright_voxel_where_it_lies():
    volume = image((32, 32, 32), (256.0, 256.0, 256.0), (12.0, -7.0, 3.0))
    for view in views([volume], (12.0, -7.0, 3.0)):
        row, column = np.unravel_index(view.pixels.argmax(), view.pixels.shape)
        assert view.on_picture(np.array((12.0, -7.0, 3.0))) == pytest.approx((column, row))


def test_of_a_localizer_the_nearest_slice_of_each_plane_is_shown():
    slices = [image((8, 8, 1), (80.0, 80.0, 5.0), (0.0, 0.0, z)) for z in (-20.0, 0.0, 20.0)]
    (view,) = views(slices, (0.0, 0.0, 14.0))
    assert view.name == "axial"
    assert view.grid.position_mm[2] == 20.0
    assert overlay(slices, STACK, STACK).startswith(b"\x89PNG")


def test_the_stack_that_was_measured_is_read_from_the_headers_of_its_images():
    fov = (*STACK.field_of_view_mm, STACK.thickness_mm)
    images = [image((8, 8, 1), fov, tuple(centre), (READ, PHASE, SLICE)) for centre in centres_mm(STACK).tolist()]
    others = [image((8, 8, 1), fov, (0.0, 0.0, 0.0), series=2)]
    assert not apart(measured([*images, *others]), STACK).beyond(1e-3, 1e-3)
    assert measured([images[0], image((8, 8, 1), fov)]) is None
    assert measured([]) is None


@pytest.mark.parametrize("plan", MNI_AT_REST)
def test_the_truth_is_what_landmarks_without_error_prescribe_in_any_pose(plan):
    found = head_landmarks(mni_head(), "HFS", POSE)
    made = prescribe(find_anatomy("head"), plan, found, found.time_s)
    assert not apart(made.stack, true_stack("mni", plan, POSE)).beyond(0.01, 0.01)
    assert true_stack("phantom", plan, POSE) is None


@pytest.mark.parametrize(("position", "towards_head"), [("HFS", 1), ("HFDL", 1), ("FFP", -1)])
def test_a_table_that_goes_into_the_bore_carries_the_patient_with_what_lies_in_front(position, towards_head):
    assert carried(POSE, 30.0, position).table_mm == 30.0 * towards_head
    moved, still = (true_stack("mni", "brain_axial", POSE, mm, position) for mm in (30.0, 0.0))
    assert np.subtract(moved.centre_mm, still.centre_mm) == pytest.approx((0, 0, 30.0 * towards_head))

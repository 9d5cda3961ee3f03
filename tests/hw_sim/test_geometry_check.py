"""Geometry is law: where an image header, a NIfTI and a DICOM file say that something lies, it lies."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from gadgets.serve import ServeOptions, running
from hw_sim.acceptance.beads import ACCEPTANCE, locate
from hw_sim.acceptance.check import CENTRE_MM, SCAN, Case, cases, check, judge, raw
from hw_sim.cli import app
from hw_sim.errors import SimulationError
from hw_sim.export import stacked, write_dicom
from hw_sim.link import Session
from protocols.geometry import Grid, grid_of, lps_from_pixel, place
from protocols.header import parse_header
from protocols.messages import Image
from protocols.mrd import IMAGE

CLOSE_MM = 1e-3
NAMES = ("read", "phase", "slice")


def pictures(case):
    """The images of a plain inverse FFT, in single precision."""
    xml, readouts = raw(case)
    encoding = parse_header(xml).encodings[0]
    made = []
    for number, plane in enumerate(case.planes()):
        rows = readouts.samples[readouts.headers["idx"]["slice"] == number, 0]
        image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(rows)))
        middle, half = image.shape[1] // 2, SCAN.matrix[0] // 2
        pixels = np.abs(image[:, middle - half : middle + half]).astype(np.float32)
        grid = Grid(
            encoding.recon_matrix, encoding.recon_fov_mm, plane.centre_mm, plane.read_dir, plane.phase_dir,
            plane.slice_dir,
        )  # fmt: skip
        made.append(Image(place(np.zeros(1, IMAGE)[0], grid), pixels[None, None]))
    return made


def with_header(image, **changes):
    header = image.header.copy()
    for name, value in changes.items():
        header[name] = value
    return replace(image, header=header)


def test_there_are_eight_positions_four_orientations_and_every_direction_either_way():
    assert len({case.name for case in cases()}) == 8 * 4 * 8


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_beads_lie_where_mrd_nifti_and_dicom_say_in_every_position_and_direction(orientation, tmp_path):
    """Through the server; with each patient position another of the eight ways to turn directions round."""
    some = [case for case in cases() if case.orientation == orientation]
    which = [some[8 * number + number] for number in range(8)]
    assert len({case.position for case in which}) == len({case.signs for case in which}) == 8
    with running(ServeOptions(port=0)) as server:
        session = Session("127.0.0.1", server.port, "cartesian")
        outcomes = list(check(session, which, CLOSE_MM, tmp_path))
    assert [outcome.complaint for outcome in outcomes] == [""] * 8
    assert all(0 < outcome.worst_mm < CLOSE_MM for outcome in outcomes)


def test_beads_lie_where_the_headers_of_a_plain_fft_say_whichever_way_directions_point():
    """The position of the patient is a word in the header here, so that each way needs one position only."""
    truth = ACCEPTANCE.moved(CENTRE_MM)
    for case in cases()[:32]:
        stack = stacked(pictures(case))
        index = np.indices(stack.pixels.shape[::-1]).reshape(3, -1).T
        found = locate(stack.pixels.T.astype(float).ravel(), lps_from_pixel(stack.grid, index), truth)
        assert np.abs(found - truth.centres_mm).max() < CLOSE_MM, case.name


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_a_third_program_puts_the_pixels_of_our_dicom_files_where_we_do(signs, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its DICOM reader experimental
        from nibabel.nicom.dicomwrappers import wrapper_from_file
    stack = stacked(pictures(Case("FFDR", "oblique", signs)))
    for number, path in enumerate(write_dicom(tmp_path, stack, "FFDR")):
        slice_ = wrapper_from_file(path)
        assert slice_["PatientPosition"] == "FFDR"
        for row, column in ((0, 0), (3, 20), (31, 47)):
            theirs = slice_.affine @ (row, column, 0, 1)
            ours = lps_from_pixel(stack.grid, np.array((column, row, number)))
            assert np.abs(theirs[:3] - ours).max() < CLOSE_MM
        level = stack.pixels[number, 3, 20] / stack.pixels.max()
        assert abs(slice_.get_data()[3, 20] / stack.pixels.max() - level) < 1e-4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_direction_that_points_the_wrong_way_is_found_and_named(axis, tmp_path):
    case = Case("HFP", "oblique", (1, 1, 1))
    images = pictures(case)
    if axis < 2:
        images = [replace(image, pixels=np.roll(np.flip(image.pixels, 3 - axis), 1, 3 - axis)) for image in images]
    else:
        images = [with_header(image, position=other.header["position"])
                  for image, other in zip(images, images[::-1], strict=True)]  # fmt: skip
    outcome = judge(case, images, 0.05, tmp_path)
    for carrier in ("MRD", "NIfTI", "DICOM"):
        assert f"{carrier}: a bead lies" in outcome.complaint
    assert outcome.complaint.count(f"off: {NAMES[axis]}_dir points the wrong way") == 3
    assert outcome.worst_mm > 10


def test_left_for_right_is_found_in_every_patient_position(tmp_path):
    for case in (case for case in cases() if case.orientation == "axial" and case.signs == (1, 1, 1)):
        mirrored = [with_header(image, read_dir=-image.header["read_dir"]) for image in pictures(case)]
        assert "read_dir points the wrong way" in judge(case, mirrored, 0.05, tmp_path / case.name).complaint


def test_half_a_pixel_and_a_table_position_taken_for_a_slice_position_are_found(tmp_path):
    case = Case("HFS", "axial", (1, 1, 1))
    half = [with_header(i, position=i.header["position"] + 1.5 * i.header["read_dir"]) for i in pictures(case)]
    assert "shifted by +1.50 mm along read, +0.00 mm along phase" in judge(case, half, 0.05, tmp_path).complaint
    table = [with_header(i, position=i.header["position"] + np.array((0, 0, -430))) for i in pictures(case)]
    assert "-430.00 mm along slice" in judge(case, table, 0.05, tmp_path).complaint


def test_swapped_axes_are_found(tmp_path):
    case = Case("HFS", "axial", (1, 1, 1))
    swapped = [
        with_header(image, read_dir=image.header["phase_dir"], phase_dir=image.header["read_dir"])
        for image in pictures(case)
    ]
    assert "axes are swapped (phase, read, slice)" in judge(case, swapped, 0.05, tmp_path).complaint


def test_images_that_are_no_stack_or_show_nothing_are_told(tmp_path):
    case = Case("HFS", "axial", (1, 1, 1))
    images = pictures(case)
    with pytest.raises(SimulationError, match="even steps"):
        judge(case, [*images[:3], *images[4:]], 0.05, tmp_path)
    with pytest.raises(SimulationError, match="differ in directions"):
        stacked([images[0], *pictures(Case("HFS", "coronal", (1, 1, 1)))])
    with pytest.raises(SimulationError, match="0 images"):
        stacked([])
    dark = [replace(image, pixels=np.zeros_like(image.pixels)) for image in images]
    with pytest.raises(SimulationError, match="bead 1 of 3 is not to be seen"):
        judge(case, dark, 0.05, tmp_path)


def test_a_server_that_sends_nothing_fails_the_check(peer, tmp_path):
    peer.answers = False
    (outcome,) = check(Session("127.0.0.1", peer.port), cases()[:1], 0.05, tmp_path)
    assert outcome.complaint == "no image came"
    assert outcome.worst_mm == np.inf


def test_one_volume_is_a_stack_already():
    images = pictures(Case("HFS", "sagittal", (1, -1, 1)))
    stack = stacked(images)
    whole = Image(place(np.zeros(1, IMAGE)[0], stack.grid), stack.pixels[None])
    assert np.allclose(grid_of(whole.header).position_mm, stack.grid.position_mm, atol=1e-4)
    assert (stacked([whole]).pixels == stack.pixels).all()


def test_the_command_needs_a_host_and_a_port(tmp_path):
    ran = CliRunner().invoke(app, ["geometry-check", "--connect", "here", "--out", str(tmp_path)])
    assert ran.exit_code == 1
    assert "wanted HOST:PORT" in ran.stderr

"""A simulated 3-D scan: what is outside folds in, lines come in a true order, and places are those of the header."""

from dataclasses import dataclass

import numpy as np
import pytest

from hw_sim.acceptance.beads import ACCEPTANCE, Beads, locate
from hw_sim.devices import Motion, Pose
from hw_sim.paperwork import Order
from hw_sim.planes import planes
from hw_sim.scanner import Scanner
from hw_sim.sequencer import Kind, acquired_lines, plan
from hw_sim.volume_coil import volume_coil
from protocols.geometry import Grid, lps_from_pixel
from protocols.mrd import AcqFlag, has_flag
from protocols.simulate import Simulate

OBLIQUE = {"read": (0.0, 0.6, -0.8), "phase": (0.0, 0.8, 0.6), "slice": (1.0, 0.0, 0.0)}


@dataclass(frozen=True)
class Glow:
    """Beads as a patient."""

    beads: Beads = ACCEPTANCE
    radius_mm: float = 45.0

    def image(self, points_mm, weight):
        away = points_mm[..., None, :] - self.beads.centres_mm
        levels = np.exp(-(away**2).sum(-1) / (2 * self.beads.sigma_mm**2))
        return (levels @ np.array(self.beads.brightness)).astype(np.float32)


def slab(**changes):
    given = {"matrix": (32, 24), "fov_mm": (128.0, 96.0), "partitions": 20, "thickness_mm": 4.0, "tr_ms": 3.0}
    return Simulate(**(given | {"te_ms": 1.0, "snr": None, "noise_readouts": 0} | changes))


def volume_of(played):
    """Magnitudes (z, y, x) by a plain inverse FFT."""
    samples = np.concatenate([batch.samples for batch in played.readouts()])
    nx, ny, nz = played.scan.encodings[0].encoded_matrix
    kspace = np.zeros((samples.shape[1], nz, ny, nx), np.complex64)
    kspace[:, played.plan["partition"], played.plan["line"]] = samples.swapaxes(0, 1)
    axes = (1, 2, 3)
    image = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(kspace, axes), axes=axes), axes)
    return np.sqrt((np.abs(image[..., nx // 4 : nx // 4 + nx // 2]) ** 2).sum(0))


def grid_of(played):
    encoding, head = played.scan.encodings[0], played.headers[0]
    names = ("position", "read_dir", "phase_dir", "slice_dir")
    return Grid(encoding.recon_matrix, encoding.recon_fov_mm, *(tuple(head[name].tolist()) for name in names))


def seen(played, beads):
    volume, grid = volume_of(played), grid_of(played)
    index = np.indices(grid.matrix).reshape(3, -1).T.astype(float)
    return locate(volume.T.ravel().astype(float), lps_from_pixel(grid, index), beads)


@pytest.mark.parametrize(
    ("orientation", "pose"), [("axial", Pose()), (OBLIQUE, Pose((6.0, -9.0, 7.0), (20.0, -10.0, 15.0)))]
)
def test_beads_lie_in_the_volume_where_the_header_says(orientation, pose):
    simulate = slab(orientation=orientation, centre_mm=(3.0, -5.0, 4.0))
    played = Scanner(Glow(), volume_coil(), Motion(pose, pose)).prepare(simulate, Order("slab"))
    wanted = pose.from_patient(ACCEPTANCE.centres_mm)
    assert np.linalg.norm(seen(played, ACCEPTANCE) - wanted, axis=1).max() < 0.15


def test_what_lies_outside_the_slab_or_the_field_of_view_along_phase_folds_in():
    simulate = slab()
    whole = volume_of(Scanner(Glow(), volume_coil()).prepare(simulate, Order("slab")))
    for shift_mm, axis, pixels in (((0, 0, 40.0), 0, 10), ((0, 48.0, 0), 1, 12)):
        pose = Pose(shift_mm)
        moved = volume_of(Scanner(Glow(), volume_coil(), Motion(pose, pose)).prepare(simulate, Order("slab")))
        rolled = np.roll(whole, pixels, axis)
        assert np.linalg.norm(moved - rolled) < 0.15 * np.linalg.norm(rolled)  # coils stay where they are


def test_the_middle_of_kspace_comes_first_whole_and_every_line_has_all_partitions():
    simulate = slab(acceleration=4, calibration="embedded", calibration_lines=8)
    what, lines = plan(simulate, 1), acquired_lines(simulate)
    assert len(what) == len(lines.imaging) * 20
    assert len(np.unique(what[["line", "partition"]])) == len(what)
    assert set(what["line"][: 8 * 20]) == set(lines.calibration)
    assert (what["kind"] == Kind.IMAGING).all()
    assert has_flag(what["flags"], AcqFlag.LAST_IN_ENCODE_STEP2).sum() == len(lines.imaging)
    assert has_flag(what["flags"], AcqFlag.LAST_IN_SLICE).nonzero()[0].tolist() == [len(what) - 1]


def test_the_header_of_a_slab_has_its_partitions_and_its_whole_thickness():
    simulate = slab()
    scan = Scanner(Glow(), volume_coil()).prepare(simulate, Order("slab")).scan
    encoding = scan.encodings[0]
    assert encoding.encoded_matrix == (64, 24, 20)
    assert encoding.recon_fov_mm == (128.0, 96.0, 80.0)
    assert encoding.limits["kspace_encoding_step_2"].maximum == 19
    assert len(planes(simulate)) == 1


@pytest.mark.parametrize("wrong", [{"partitions": 7}, {"slices": 2}, {"three_plane": True}, {"interleaved": True}])
def test_a_slab_of_slices_is_refused_with_what_was_wanted(wrong):
    with pytest.raises(ValueError, match="a slab is measured as a whole"):
        slab(**wrong)

"""A 3-D scout through its own chain: a marker lies where the volume's header says, and what is lost is told."""

import re
from pathlib import Path

import numpy as np
import pytest

from gadgets.recipe import build
from hw_sim.acceptance.beads import ACCEPTANCE, locate
from hw_sim.coils import head_array
from hw_sim.devices import Motion, Pose
from hw_sim.faults import ask, stage
from hw_sim.paperwork import Order
from hw_sim.scanner import Scanner
from protocols.events import Flag
from protocols.geometry import grid_of, lps_from_pixel
from protocols.messages import Image
from protocols.scan_protocol import find
from tests.hw_sim.test_slab import Glow
from tests.making import context

SCOUT = find("scout_3d")
WITHOUT_LOCATE = re.sub(
    r'"locate", |(?ms:^\[engines\].*?\n\n)|(?m:^locate = .*\n)', "", Path(SCOUT.where).read_text(encoding="utf-8")
)
POSE = Pose((6.0, -9.0, 7.0), (20.0, -10.0, 15.0))


def small(**changes):
    given = {"matrix": (32, 32), "fov_mm": (144.0, 144.0), "partitions": 24, "noise_readouts": 64, "snr": 100.0}
    return SCOUT.simulate.model_copy(update=given | changes)


def measured(simulate, *faults):
    """The volume and the flags of a scan of beads that are turned and shifted."""
    scanner = Scanner(Glow(), head_array(8), Motion(POSE, POSE))
    staged = stage(scanner, simulate, Order("scout_3d"), [ask(text) for text in faults])
    chain = build(context(staged.played.scan, WITHOUT_LOCATE))
    told = list(chain(staged.stream()))
    (image,) = [message for message in told if isinstance(message, Image)]
    return image, {flag.code: flag for flag in (*image.flags, *told) if isinstance(flag, Flag)}


@pytest.mark.parametrize("changes", [{}, {"acceleration": 1, "calibration": "none"}])
def test_beads_lie_in_the_volume_where_its_header_says_accelerated_or_not(changes):
    image, flags = measured(small(**changes))
    grid = grid_of(image.header)
    assert grid.matrix == (32, 32, 24)
    assert grid.fov_mm == (144.0, 144.0, 108.0)
    assert str(image.meta["Scanside.Engine"]).startswith("fft" if changes else "columns")
    index = np.indices(grid.matrix).reshape(3, -1).T.astype(float)
    found = locate(image.pixels[0].T.ravel().astype(float), lps_from_pixel(grid, index), ACCEPTANCE)
    assert np.linalg.norm(found - POSE.from_patient(ACCEPTANCE.centres_mm), axis=1).max() < 0.9  # shading draws them
    assert not {code for code, flag in flags.items() if flag.severity.broken} - {"deadline_missed"}


def test_lines_that_never_came_are_flagged_with_their_partitions_and_the_volume_leaves_all_the_same():
    whole, _ = measured(small())
    image, flags = measured(small(), "lose_line@50%")
    assert flags["missing_lines"].severity.value == "FAIL"
    assert len(flags["missing_lines"].evidence["lines"]) == len(flags["missing_lines"].evidence["partitions"]) == 1
    assert "1 lines lack partitions and were left out" in flags["fallback"].message
    assert "FAIL missing_lines" in image.meta["ImageComments"]
    scale = image.pixels.max() / whole.pixels.max()
    assert np.abs(image.pixels / scale - whole.pixels).max() < 0.2 * whole.pixels.max()

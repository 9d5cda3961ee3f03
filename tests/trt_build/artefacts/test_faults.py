"""Corrupted as physics does it: the head moves and the scanner stays, and each fault is where it says it is."""

from dataclasses import replace

import numpy as np
import pytest

from engines.artefacts.names import ARTEFACTS
from engines.linear.fourier import to_kspace
from trt_build.artefacts.examples import VISIBLE, examples_of
from trt_build.artefacts.faults import FAULTS, LEAST_DEG, LEAST_MM
from trt_build.artefacts.heads import AT_REST, Pose, draw_slice
from trt_build.artefacts.scan import draw_scan
from trt_build.data.scene import Grid


@pytest.fixture(scope="module")
def scan(source):
    return draw_scan(source.head(0), np.random.default_rng(3))


def still(head_slice):
    """Without what belongs to the scanner: bias field and phase."""
    phase = np.stack([np.ones_like(head_slice.bias), np.zeros_like(head_slice.bias)])
    return replace(head_slice, bias=np.ones_like(head_slice.bias), phase=phase, _seen={})


def test_a_head_that_is_shifted_by_pixels_is_the_same_picture_shifted(source):
    seen = still(draw_slice(source.head(0), Grid(64, 64, (4.0, 4.0)), np.random.default_rng(1)))
    down_mm = 8.0 * (seen.points_mm[:, -1, 0] - seen.points_mm[:, 0, 0]) / np.ptp(seen.points_mm[:, :, 0], 1).max()
    down_mm *= 8.0 / np.linalg.norm(down_mm)
    rest, moved = np.abs(seen.image()), np.abs(seen.image(Pose(tuple(down_mm.tolist()))))
    assert np.linalg.norm(moved - np.roll(rest, 2, 0)) < 0.25 * np.linalg.norm(moved - rest)


def test_there_is_a_fault_for_every_artefact():
    assert tuple(FAULTS) == ARTEFACTS


def test_lines_see_the_head_where_it_lay_when_they_came(scan):
    fault = FAULTS["motion"](scan, np.random.default_rng(5))
    first, last = scan.order[0], scan.order[-1]
    np.testing.assert_array_equal(fault.signal[:, first], scan.signal(AT_REST)[:, first])
    assert np.abs(fault.signal[:, last] - scan.signal(AT_REST)[:, last]).max() > 0 or fault.facts["share"] < 1
    assert fault.facts["mm"] >= LEAST_MM or fault.facts["deg"] >= LEAST_DEG
    moved = [row for row in scan.order if not np.array_equal(fault.signal[:, row], scan.signal(AT_REST)[:, row])]
    assert len(moved) / len(scan.order) == pytest.approx(fault.facts["share"])


def test_a_spike_is_in_few_readouts_and_at_single_samples_of_them(scan):
    fault = FAULTS["spike"](scan, np.random.default_rng(2))
    added = to_kspace(fault.received(np.zeros_like(scan.noise)), 2)
    hit = np.abs(added[0]) > 1e-3 * np.abs(added).max()
    assert 1 <= hit.sum() <= 5
    assert set(np.flatnonzero(hit.any(1))) <= set(scan.order.tolist())


def test_interference_is_in_one_or_two_columns_of_every_line(scan):
    added = FAULTS["zipper"](scan, np.random.default_rng(2)).received(np.zeros_like(scan.noise))
    assert 1 <= (np.abs(added[0]) > 0).all(0).sum() == (np.abs(added[0]) > 0).any(0).sum() <= 2


def test_what_wraps_round_is_what_was_outside(scan):
    fault = FAULTS["wrap"](scan, np.random.default_rng(2))
    assert fault.signal.shape == fault.right.shape == scan.noise.shape
    assert not np.allclose(fault.signal, fault.right)


@pytest.mark.parametrize("index", range(1))
def test_the_same_scan_is_the_same_whenever_asked_and_its_truth_fits_its_images(source, index):
    one, other = (list(examples_of(source, 4, index)) for _ in range(2))
    assert [example.present.any() for example in one][:1] in ([False], [])
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)
        np.testing.assert_array_equal(first.present, second.present)
        known = first.present & np.isfinite(first.severity)
        assert (first.severity[~first.present] == 0).all()
        assert (first.severity[known][ARTEFACTS.index("motion") + 1 :] >= 0).all()
        assert all(s >= VISIBLE for name, s in zip(np.array(ARTEFACTS)[known], first.severity[known], strict=True)
                   if name != "motion")  # fmt: skip
        assert bool(first.present[0]) == (first.motion[0] >= LEAST_MM or first.motion[1] >= LEAST_DEG)

"""In-vivo data, 16 coils at 2.9 T: undersampled images against the fully sampled one, in numbers.

A retrospective GRAPPA reached a normalised error of 0.036 at R = 2 and 0.050 at R = 3: the limits below.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter

from engines.linear.columns import invert_columns, prepare_columns, solve_columns
from engines.linear.combine import adaptive, rss
from engines.linear.espirit import espirit_maps
from engines.linear.fourier import readout_to_hybrid, to_image
from engines.linear.grappa import fill_lines, fit_grappa, sampling_grid
from engines.linear.maps import bounding_box, support, walsh_maps
from engines.linear.noise import whiten, whitener
from engines.linear.preconditioned import prepare_iteration, solve_iteratively
from tests.engines.coils import covariance_from_edges

DATA = Path(__file__).parents[3] / "shared" / "data" / "mrd"
LINES, FIRST, COUNT, COILS = 128, 52, 24, 16
LIMIT = {"brain16_r2.h5": 0.036, "brain16_r3.h5": 0.050}

pytestmark = pytest.mark.skipif(not (DATA / "brain16_gre.h5").exists(), reason="../shared/data/mrd is not here")


def load(name):
    with h5py.File(DATA / name) as file:
        records = file["dataset/data"][:]
    samples = np.stack(list(records["data"])).view(np.complex64).reshape(len(records), COILS, LINES)
    hybrid, acquired = np.zeros((COILS, LINES, LINES), np.complex64), np.zeros(LINES, np.bool_)
    rows = records["head"]["idx"]["kspace_encode_step_1"]
    hybrid[:, rows] = readout_to_hybrid(samples, LINES, LINES).swapaxes(0, 1)
    acquired[rows] = True
    return hybrid, acquired


@pytest.fixture(scope="module", params=sorted(LIMIT))
def scan(request):
    frame, acquired = load(request.param)
    matrix = whitener(covariance_from_edges(frame[:, acquired]))  # there is no noise scan in this file
    full, frame = ((matrix @ f.reshape(COILS, -1)).reshape(f.shape) for f in (load("brain16_gre.h5")[0], frame))
    calibration = np.ascontiguousarray(frame[:, FIRST : FIRST + COUNT])
    return full, frame, acquired, calibration, LIMIT[request.param]


def error(got, wanted, where=...):
    """NRMSE of magnitudes after the best common scale."""
    got, wanted = np.abs(got)[where].astype(float).ravel(), np.abs(wanted)[where].astype(float).ravel()
    return np.linalg.norm(got * (got @ wanted) / (got @ got) - wanted) / np.linalg.norm(wanted)


def head_of(image):
    smooth = gaussian_filter(np.abs(image), 2)
    return binary_dilation(binary_fill_holes(smooth > 0.15 * np.abs(image).max()), iterations=3)


def test_grappa_beats_the_reference_on_the_whole_root_sum_of_squares_image(scan):
    full, frame, acquired, calibration, limit = scan
    weights = fit_grappa(calibration, sampling_grid(acquired)[0])
    got = rss(to_image(fill_lines(weights, frame, acquired), 1))
    assert error(got, rss(to_image(full, 1))) < limit


@pytest.mark.parametrize("estimate", [walsh_maps, espirit_maps], ids=["walsh", "espirit"])
def test_the_column_solver_beats_the_reference(scan, estimate):
    full, frame, acquired, calibration, limit = scan
    maps = estimate(calibration, LINES, FIRST)
    inside = support(calibration, LINES, FIRST, noise_std=1)
    problem = prepare_columns(maps * inside, acquired, 1e-2, bounding_box(inside))
    got = solve_columns(invert_columns(problem), frame)
    images = to_image(full, 1)
    head = head_of(rss(images))
    assert inside[head].mean() > 0.999
    assert error(got, adaptive(images, maps), head) < 0.8 * limit
    assert error(got, adaptive(images, maps * inside)) < 0.85 * limit
    assert error(got, solve_iteratively(prepare_iteration(problem), frame)) < 1e-2


def test_whitening_from_the_edges_makes_the_noise_white(scan):
    full = scan[0]
    white = whiten(whitener(covariance_from_edges(full)), full.reshape(COILS, -1)).reshape(full.shape)
    np.testing.assert_allclose(covariance_from_edges(white), np.eye(COILS), atol=1e-3)

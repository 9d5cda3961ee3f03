"""CG-SENSE: laws of its operators, and agreement with an independent peer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.linear.cgsense import Sense, adjoint, cg_sense, forward
from engines.linear.columns import invert_columns, prepare_columns, solve_columns
from engines.linear.errors import LinearError
from engines.linear.espirit import espirit_maps
from engines.linear.fourier import to_image, to_kspace
from tests.engines.coils import head, hybrid_space, noise_like, nrmse, unit_maps

N = 64
MAPS = unit_maps(8, N, N)
OBJECT = 30 * head(N, N)


def plane(mask):
    full = to_kspace(hybrid_space(MAPS * OBJECT), 2)
    return ((full + noise_like(full.shape)) * mask).astype(np.complex64)


@settings(max_examples=30)
@given(
    st.integers(1, 4), st.integers(2, 9), st.integers(2, 9), st.sampled_from([(0,), (1,), (0, 1)]), st.integers(0, 99)
)
def test_forward_and_adjoint_are_adjoint(coils, height, width, axes, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    sense = Sense(noise_like((coils, height, width), seed), mask, axes)
    image, kspace = noise_like((height, width), seed + 1), noise_like((coils, height, width), seed + 2)
    left, right = np.vdot(forward(sense, image), kspace), np.vdot(image, adjoint(sense, kspace))
    assert abs(left - right) < 1e-4 * np.linalg.norm(image) * np.linalg.norm(kspace)


def test_it_equals_sigpy_on_a_two_dimensional_mask():
    from sigpy.mri.app import SenseRecon

    mask = np.random.default_rng(0).random((N, N)) < 0.35
    mask[24:40, 24:40] = True
    kspace = plane(mask)
    ours = cg_sense(kspace, Sense(MAPS, mask, (0, 1), 1e-2), iterations=300, tolerance=1e-7).image
    peer = SenseRecon(
        kspace, MAPS, lamda=1e-2, weights=mask.astype(np.float32), max_iter=300, tol=1e-9, show_pbar=False
    )
    assert nrmse(ours, peer.run()) < 1e-3


def test_the_column_solver_equals_sigpy_on_lines_with_embedded_calibration():
    from sigpy.mri.app import SenseRecon

    mask = np.zeros((N, 1), np.bool_)
    mask[1::3] = True
    mask[22:42] = True
    kspace = plane(mask)
    problem = prepare_columns(MAPS, mask[:, 0], 1e-2)
    ours = solve_columns(invert_columns(problem), to_image(kspace, 2))
    weights = np.broadcast_to(mask, (N, N)).astype(np.float32)
    peer = SenseRecon(kspace, MAPS, lamda=1e-2, weights=weights, max_iter=300, tol=1e-9, show_pbar=False)
    assert nrmse(ours, peer.run()) < 1e-3


def test_espirit_maps_equal_those_of_sigpy():
    from sigpy.mri.app import EspiritCalib

    kspace = plane(np.ones((N, N), np.bool_))
    ours = espirit_maps(to_image(kspace, 2)[:, 20:44], N, 20, kernel=6, threshold=0.02)
    peer = EspiritCalib(kspace, calib_width=24, thresh=0.02, kernel_width=6, crop=0, show_pbar=False).run()
    alike = np.abs((ours.conj() * peer).sum(0)) / np.linalg.norm(peer, axis=0)
    assert alike[np.abs(OBJECT) > 1].min() > 0.999


def test_a_volume_undersampled_along_both_phase_encodes_is_solved():
    maps = noise_like((6, 8, 8, 5))
    image = noise_like((8, 8, 5), 2)
    mask = (np.arange(8)[:, None] + np.arange(8)) % 2 == 0  # a shifted pattern (CAIPI)
    sense = Sense(maps, mask[..., None], (0, 1), 1e-9)
    assert nrmse(cg_sense(forward(sense, image), sense, 200, 1e-6).image, image) < 1e-3


def test_a_warm_start_saves_steps_and_ends_at_the_same_image():
    mask = np.arange(N)[:, None] % 3 == 0
    sense = Sense(MAPS, mask, (0, 1), 1e-2)
    kspace = plane(mask)
    cold = cg_sense(kspace, sense, 200, 1e-5)
    warm = cg_sense(kspace, sense, 200, 1e-5, initial=cold.image * 1.001)
    assert warm.iterations < cold.iterations
    assert nrmse(warm.image, cold.image) < 1e-3
    assert warm.residual <= 1e-5


def test_empty_k_space_gives_an_empty_image_at_once():
    solution = cg_sense(np.zeros_like(MAPS), Sense(MAPS, np.ones((N, N), np.bool_), (0, 1)))
    assert solution.iterations == 0
    assert not solution.image.any()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(LinearError, match="broadcasts to \\(64, 64\\)"):
        Sense(MAPS, np.ones(5, np.bool_), (0,))
    with pytest.raises(LinearError, match="0 or more"):
        Sense(MAPS, np.ones(N, np.bool_), (0,), -1.0)
    with pytest.raises(LinearError, match="shape of the maps"):
        cg_sense(MAPS[:, 1:], Sense(MAPS, np.ones(N, np.bool_), (0,)))

"""Laws of a slab: 3-D k-space and back, the adjoint, maps that fit together, and what is left out where lines lack."""

import numpy as np
import pytest

from engines.linear.errors import LinearError
from engines.linear.fourier import to_image, to_kspace
from engines.linear.frame import make_image
from engines.linear.slab import flatten, learn_slab, own_slab, unflatten
from tests.engines.coils import nrmse

SHAPE = (16, 32, 24)  # partitions, lines, x
CALIBRATION = slice(10, 22)


def ball():
    """A body (z, y, x), and six coils (coil, z, y, x) around it, sum |S|^2 = 1, smooth in three dimensions."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n, endpoint=False) for n in SHAPE), indexing="ij")
    radius = np.sqrt((z / 0.8) ** 2 + (y / 0.7) ** 2 + (x / 0.75) ** 2)
    body = (radius < 1) - 0.5 * (radius < 0.85) + 0.4 * ((z - 0.2) ** 2 + (y + 0.2) ** 2 + x**2 < 0.1)
    places = 1.5 * np.vstack([np.eye(3), -np.eye(3)])
    away = np.stack([(z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 for a, b, c in places])
    coils = np.exp(-away / 3 + 1j * away / 4)
    return body.astype(np.complex64), (coils / np.sqrt((np.abs(coils) ** 2).sum(0))).astype(np.complex64)


def hybrid_of(images):
    return to_kspace(to_kspace(images, 1), 2)


def mask(step=1, calibration=True):
    lines = np.zeros(SHAPE[1], bool)
    lines[::step] = True
    if calibration:
        lines[CALIBRATION] = True
    return lines


def made(frame, lines):
    acquired = np.tile(lines, (SHAPE[0], 1))
    flat, mask_, lost = flatten(frame * acquired[..., None], acquired)
    assert lost == ""
    learned = learn_slab(frame[:, :, CALIBRATION], CALIBRATION.start, lines)
    return unflatten(make_image(flat, mask_, learned, "exact").pixels, SHAPE[0])


def test_kspace_of_a_volume_comes_back_as_the_volume():
    body, _ = ball()
    flat, mask_, _ = flatten(hybrid_of(body[None]), np.ones(SHAPE[:2], bool))
    assert mask_.all()
    assert nrmse(unflatten(to_image(flat, 1)[0], SHAPE[0]), body) < 1e-5


def test_flatten_has_the_adjoint_that_a_unitary_transform_has():
    chance = np.random.default_rng(2)
    shape = (2, *SHAPE)
    there, back = (chance.standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0] for _ in range(2))
    flat, _, _ = flatten(there, np.ones(SHAPE[:2], bool))
    other = back.swapaxes(1, 2).reshape(flat.shape)
    adjoint = to_kspace(back, 1)
    assert np.vdot(other, flat) == pytest.approx(np.vdot(adjoint, there), rel=1e-4)


def test_every_fourth_line_and_calibration_lines_make_the_volume_that_all_lines_make():
    body, coils = ball()
    frame = hybrid_of(coils * body)
    full = made(frame, mask())
    inside = np.abs(body) > 0.1
    assert nrmse(np.abs(full)[inside], np.abs(body)[inside]) < 0.05
    assert nrmse(np.abs(made(frame, mask(4)))[inside], np.abs(full)[inside]) < 0.1
    aliased = unflatten(make_image(*flatten(frame * mask(4, calibration=False)[:, None],
                                            np.tile(mask(4, calibration=False), (SHAPE[0], 1)))[:2],
                                   None, "zero_filled").pixels, SHAPE[0])  # fmt: skip
    assert nrmse(np.abs(aliased)[inside], np.abs(full)[inside]) > 0.4


def test_a_slab_learns_from_its_own_middle_where_no_calibration_lines_are_named():
    body, coils = ball()
    frame = hybrid_of(coils * body)
    learned = own_slab(frame, np.tile(mask(2), (SHAPE[0], 1)))
    assert learned is not None
    assert learned.maps.shape == (6, SHAPE[1], SHAPE[0] * SHAPE[2])
    assert own_slab(frame, np.tile(mask(2, calibration=False), (SHAPE[0], 1))) is None


def test_a_line_that_lacks_a_partition_is_left_out_and_missing_partitions_are_zeros_and_both_are_told():
    body, coils = ball()
    frame, acquired = hybrid_of(coils * body), np.ones(SHAPE[:2], bool)
    acquired[3, 7] = False
    _, lines, lost = flatten(frame, acquired)
    assert np.flatnonzero(~lines).tolist() == [7]
    assert lost == "1 lines lack partitions and were left out"
    acquired[::2] = False
    acquired[::2, 8] = True
    _, lines, lost = flatten(frame, acquired)
    assert lines.all()
    assert lost == "partitions that did not come are filled with zeros"


def test_lines_without_signal_teach_nothing():
    with pytest.raises(LinearError, match="zero or not finite"):
        learn_slab(np.zeros((4, 16, 12, 24), np.complex64), 10, mask(2))
    with pytest.raises(LinearError, match="got 12 calibration lines from 25"):
        learn_slab(np.zeros((4, 16, 12, 24), np.complex64), 25, mask(2))

import numpy as np
import pytest

from hw_sim.coils import head_array
from hw_sim.errors import SimulationError
from hw_sim.frontend import Frontend
from hw_sim.planes import STANDARD, points


@pytest.mark.parametrize("coils", [8, 16, 32])
def test_noise_has_the_covariance_of_the_array(coils):
    array = head_array(coils)
    frontend = Frontend(array.covariance, noise_std=2.0, full_scale=1e9)
    raw = frontend.receive(np.zeros((40, coils, 512), np.complex64), np.random.default_rng(3))
    flat = raw.transpose(1, 0, 2).reshape(coils, -1)
    measured = flat @ flat.conj().T / flat.shape[1]
    assert np.abs(measured - 4 * array.covariance).max() < 0.1 * 4


def test_covariance_is_positive_definite_and_neighbours_correlate():
    covariance = head_array(16).covariance
    assert np.linalg.eigvalsh(covariance).min() > 0.01
    off = np.abs(covariance - np.diag(np.diag(covariance)))
    assert 0.1 < off.max() < 1.0


def test_interpolated_sensitivities_agree_with_biot_savart_inside_the_head():
    array = head_array(16)
    axis = np.linspace(-120, 120, 61)
    plane = STANDARD["coronal"]
    fast = array.on_plane(plane, axis, axis)
    grid = points(plane, axis, axis)
    slow = array.field(grid)
    inside = np.linalg.norm(grid / np.array([80, 100, 90]), axis=-1) < 1
    assert np.abs(fast - slow)[:, inside].max() < 0.01 * np.abs(slow[:, inside]).max()


def test_every_loop_is_strongest_near_itself_and_all_differ():
    array = head_array(8)
    centres = array.wires_mm[:, :-1].mean(axis=1)
    near = array.field(centres * 0.6)
    assert (np.abs(near).argmax(axis=0) == np.arange(8)).sum() >= 7  # one that faces along B0 is weak on its axis


def test_adc_saturates_at_full_scale():
    frontend = Frontend(np.eye(1, dtype=complex), noise_std=0.0, gain=10.0, full_scale=1.0)
    raw = frontend.receive(np.array([[[0.05 + 5j, -3 + 0.01j]]], np.complex64), np.random.default_rng(0))
    assert np.allclose(raw, [[[0.5 + 1j, -1 + 0.1j]]])


def test_an_impossible_array_is_refused():
    with pytest.raises(SimulationError, match="got 2, wanted 4 to 64"):
        head_array(2)


def test_an_array_on_the_table_is_turned_against_a_patient_who_lies_otherwise():
    array, point = head_array(8), np.array([[30.0, -50.0, 20.0]])
    here = np.abs(array.field(point))
    for position, from_supine in (("HFP", (-30.0, 50.0, 20.0)), ("HFDR", (-50.0, -30.0, 20.0)), ("FFS", point[0])):
        seen = np.abs(array.around(position).field(point))
        assert seen == pytest.approx(np.abs(array.field(np.array([from_supine]))), rel=1e-9)
        assert np.allclose(seen, here) == (position == "FFS")

"""Laws of the centred transforms and of the way of a readout into hybrid space."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.linear.errors import LinearError
from engines.linear.fourier import centred_crop, readout_to_hybrid, to_image, to_kspace
from tests.engines.coils import dft, noise_like

shapes = st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 33))
axes = st.sampled_from([0, 1, 2, -1, -2])


@given(shapes, axes)
def test_there_and_back_again_is_the_identity(shape, axis):
    data = noise_like(shape)
    np.testing.assert_allclose(to_image(to_kspace(data, axis), axis), data, atol=2e-6)


@given(shapes, axes)
def test_power_is_kept_along_any_axis(shape, axis):
    data = noise_like(shape)
    assert np.linalg.norm(to_image(data, axis)) == pytest.approx(np.linalg.norm(data), rel=1e-5)


@given(shapes, axes)
def test_the_two_directions_are_adjoint(shape, axis):
    u, v = noise_like(shape, 1), noise_like(shape, 2)
    left, right = np.vdot(to_kspace(u, axis), v), np.vdot(u, to_image(v, axis))
    assert abs(left - right) < 1e-5 * np.linalg.norm(u) * np.linalg.norm(v) + 1e-6


@given(shapes, axes)
def test_it_is_the_transform_of_the_definition(shape, axis):
    data = noise_like(shape)
    wanted = np.moveaxis(np.tensordot(dft(shape[axis]), data, axes=(1, axis)), 0, axis)
    np.testing.assert_allclose(to_kspace(data, axis), wanted, atol=1e-5)


def test_an_empty_array_stays_empty():
    assert to_image(np.zeros((0, 4, 8), np.complex64), -1).shape == (0, 4, 8)


def test_an_axis_that_is_not_there_is_named():
    with pytest.raises(LinearError, match="axis 3"):
        to_image(noise_like((2, 2)), 3)


def test_threads_do_not_share_buffers():
    data = [noise_like((40, 8, 64), seed) for seed in range(4)]
    alone = [to_image(d, -1) for d in data]
    together = [None] * 4

    def work(number):
        together[number] = to_image(data[number], -1)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, wanted in zip(together, alone, strict=True):
        np.testing.assert_array_equal(got, wanted)


@given(st.integers(4, 40), st.data())
def test_readouts_are_cropped_transforms_of_the_full_matrix(encoded, data):
    recon = data.draw(st.integers(1, encoded))
    samples = noise_like((3, 2, encoded))
    wanted = centred_crop(to_image(samples, -1), -1, recon)
    np.testing.assert_allclose(readout_to_hybrid(samples, encoded, recon), wanted, atol=1e-5)


@given(st.integers(8, 40), st.data())
def test_an_asymmetric_echo_is_the_full_readout_with_zeros(encoded, data):
    first = data.draw(st.integers(0, encoded // 2))
    last = data.draw(st.integers(encoded // 2, encoded - 1))
    pre, post = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    full = np.zeros((2, 3, encoded), np.complex64)
    full[:, :, first : last + 1] = noise_like((2, 3, last + 1 - first))
    sent = np.pad(full[:, :, first : last + 1], ((0, 0), (0, 0), (pre, post)), constant_values=99)
    got = readout_to_hybrid(sent, encoded, encoded, centre_sample=encoded // 2 - first + pre, discard=(pre, post))
    np.testing.assert_allclose(got, to_image(full, -1), atol=1e-5)


@pytest.mark.parametrize(("centre", "where"), [(-3, slice(11, 15)), (10, slice(0, 4))])
def test_a_readout_wholly_on_one_side_of_the_centre_lands_there(centre, where):
    full = np.zeros((1, 1, 16), np.complex64)
    full[..., where] = noise_like((1, 1, 4))
    sent = full[..., where]
    centre = 8 - where.start
    np.testing.assert_allclose(readout_to_hybrid(sent, 16, 16, centre_sample=centre), to_image(full, -1), atol=1e-6)


def test_the_negative_sign_of_k_space_mirrors_the_image_about_its_centre():
    samples = noise_like((1, 2, 16))
    plus = readout_to_hybrid(samples, 16, 16)
    minus = readout_to_hybrid(samples, 16, 16, kspace_sign="negative")
    np.testing.assert_allclose(minus[..., 1:], plus[..., :0:-1], atol=1e-6)


def test_white_noise_stays_white_noise_of_the_same_power_when_oversampling_is_cut_off():
    hybrid = readout_to_hybrid(noise_like((50, 4, 256)), 256, 128)
    assert np.mean(np.abs(hybrid) ** 2) == pytest.approx(1, rel=0.03)


def test_samples_from_an_unaligned_read_only_buffer_are_fine():
    raw = b"x" + noise_like((2, 3, 8)).tobytes()
    samples = np.frombuffer(raw, np.uint8)[1:].view("<c8").reshape(2, 3, 8)
    np.testing.assert_array_equal(readout_to_hybrid(samples, 8, 8), readout_to_hybrid(samples.copy(), 8, 8))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"encoded": 8, "recon": 16}, "16 pixels out of 8"),
        ({"encoded": 8, "recon": 8, "discard": (5, 5)}, "nothing is left"),
        ({"encoded": 8, "recon": 8, "centre_sample": 9}, "do not fit"),
    ],
)
def test_readouts_that_do_not_fit_are_refused_in_numbers(arguments, said):
    with pytest.raises(LinearError, match=said):
        readout_to_hybrid(noise_like((1, 1, 10)), **arguments)
    with pytest.raises(LinearError, match="wanted at least 9"):
        centred_crop(noise_like((8,)), 0, 9)

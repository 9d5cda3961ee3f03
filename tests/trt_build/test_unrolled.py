"""Without what the CNNs add the network is an iteration of consistent steps, frame by frame."""

from dataclasses import replace

import pytest
import torch

from trt_build.networks.consistency import solve
from trt_build.networks.unrolled import Unrolled, UnrolledShape
from trt_build.vectors import small_problems

SMALL = UnrolledShape(cascades=2, width=8, hidden=4, coarse=1, regularisation=0.2, consistent=True)


@pytest.fixture(params=["dense", "blocks"])
def problem(request):
    return tuple(torch.from_numpy(array) for array in small_problems(0.2)[request.param])


def test_where_the_cnns_add_nothing_consistent_steps_remain(problem):
    normal, inverse = problem
    network = Unrolled(SMALL)
    for cascade in network.cascades:
        torch.nn.init.zeros_(cascade.tail.bias)
    image, error = network(normal, inverse)
    rho = solve(inverse, normal)
    for _ in range(2):
        rho = solve(inverse, normal + 0.2 * rho)
    torch.testing.assert_close(image, rho, atol=1e-3, rtol=1e-3)
    assert error.shape == (1, 1, *normal.shape[2:])
    assert (error > 0).all()


def test_frames_do_not_know_each_other(problem):
    normal, inverse = problem
    network = Unrolled(SMALL)
    for cascade in network.cascades:
        torch.nn.init.normal_(cascade.tail.weight, std=0.1)
    both = torch.cat((normal, 0.5 * normal.flip(1)))
    together, bounds = network(both, inverse)
    for frame in range(2):
        alone, bound = network(both[frame : frame + 1], inverse)
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(bounds[frame : frame + 1], bound, atol=1e-3, rtol=1e-4)


def test_the_bound_does_not_train_the_image(problem):
    network = Unrolled(SMALL)
    _, error = network(*problem)
    error.sum().backward()
    assert all(parameter.grad is None for parameter in network.cascades.parameters())
    assert all(parameter.grad is not None for parameter in network.bound.parameters())


def test_where_no_coil_sees_anything_the_image_is_zero(problem):
    normal, inverse = problem
    network = Unrolled(replace(SMALL, consistent=False)).eval()
    image, _ = network(normal, inverse)
    outside = (solve(inverse, normal) == 0).all(1, keepdim=True).expand_as(image)
    assert outside.any()
    assert (image[outside] == 0).all()
    assert (image[~outside] != 0).all()

"""Kernels are moved by Muon and the rest by AdamW, as one."""

import copy

import pytest
import torch
from torch import nn

from trt_build.training.optimiser import Optimiser


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 4, 1), nn.Linear(2, 3)).to(memory_format=torch.channels_last)


def with_gradients(network, factor=1.0, seed=1):
    chance = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = factor * torch.randn(parameter.shape, generator=chance).contiguous()
    return network


def moved(network, steps=1, factor=1.0):
    before = copy.deepcopy(network)
    optimiser = Optimiser(network, decay=0.0)
    for _ in range(steps):
        with_gradients(network, factor)
        optimiser.step(1e-3)
    return [after.detach() - old.detach() for after, old in zip(network.parameters(), before.parameters(), strict=True)]


def test_every_weight_is_moved_by_a_step_of_the_rate(network):
    for change in moved(network):
        assert (change != 0).any()
        assert change.square().mean().sqrt() < 1.1e-3


def test_every_direction_of_a_kernel_is_moved_alike(network):
    kernel = moved(network)[0]
    sizes = torch.linalg.svdvals(kernel.flatten(1))
    assert sizes.max() / sizes.min() < 3
    assert torch.linalg.svdvals(network[0].weight.grad.flatten(1)).max() / sizes.max() > 100


def test_the_size_of_the_gradient_does_not_count(network):
    other = copy.deepcopy(network)
    for one, many in zip(moved(network), moved(other, factor=100.0), strict=True):
        torch.testing.assert_close(one, many, rtol=2e-2, atol=2e-5)


def test_it_goes_on_where_another_one_stopped(network):
    straight = Optimiser(network, decay=1e-4)
    for seed in range(2):
        with_gradients(network, seed=seed)
        straight.step(1e-3)
    resumed_network = copy.deepcopy(network)
    resumed = Optimiser(resumed_network, decay=1e-4)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    for made, optimiser in ((network, straight), (resumed_network, resumed)):
        with_gradients(made, seed=5)
        optimiser.step(1e-3)
    for one, other in zip(network.parameters(), resumed_network.parameters(), strict=True):
        assert torch.equal(one, other)

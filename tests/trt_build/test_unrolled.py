"""Without what the CNNs add the network is an iteration of consistent steps, frame by frame."""

from dataclasses import replace

import pytest
import torch

from trt_build.networks.consistency import solve
from trt_build.networks.unrolled import Unrolled, UnrolledShape
from trt_build.vectors import small_problems

SMALL = UnrolledShape(cascades=2, width=8, hidden=4, coarse=1, strength=14.0, consistent=True)


@pytest.fixture(params=["dense", "blocks"])
def problem(request):
    return tuple(torch.from_numpy(array) for array in small_problems(SMALL.strength)[request.param])


def outspoken(shape, told):
    """A network whose CNNs add something, and which listens to the root of lambda and the share so much."""
    torch.manual_seed(0)
    made = Unrolled(shape)
    for cascade in made.cascades:
        torch.nn.init.normal_(cascade.tail.weight, std=0.1)
        cascade.told.weight.data = torch.randn(shape.width, 2) * torch.tensor(told)
    return made


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_where_the_cnns_add_nothing_consistent_steps_with_the_lambda_of_the_scan_remain(problem, factor):
    normal, inverse, scan, noise = problem
    scan = scan * torch.tensor([factor, 1.0])
    network = Unrolled(SMALL)
    for cascade in network.cascades:
        torch.nn.init.zeros_(cascade.tail.bias)
    image, error = network(normal, inverse, scan, noise)
    rho = solve(inverse, normal)
    for _ in range(2):
        rho = solve(inverse, normal + scan[0] ** 2 * rho)
    torch.testing.assert_close(image, rho, atol=1e-3, rtol=1e-3)
    assert error.shape == (1, 1, *normal.shape[2:])
    assert (error > 0).all()


def test_frames_do_not_know_each_other(problem):
    normal, inverse, scan, noise = problem
    network = outspoken(SMALL, (1.0, 1.0))
    both = torch.cat((normal, 0.5 * normal.flip(1)))
    together, bounds = network(both, inverse, scan, noise)
    for frame in range(2):
        alone, bound = network(both[frame : frame + 1], inverse, scan, noise)
        torch.testing.assert_close(together[frame : frame + 1], alone, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(bounds[frame : frame + 1], bound, atol=1e-3, rtol=1e-4)


def test_the_bound_does_not_train_the_image(problem):
    network = Unrolled(SMALL)
    _, error = network(*problem)
    error.sum().backward()
    assert all(parameter.grad is None for parameter in network.cascades.parameters())
    assert all(parameter.grad is not None for parameter in network.bound.parameters())


def test_where_no_coil_sees_anything_the_image_is_zero(problem):
    normal, inverse, scan, noise = problem
    network = Unrolled(replace(SMALL, consistent=False)).eval()
    image, _ = network(normal, inverse, scan, noise)
    outside = (solve(inverse, normal) == 0).all(1, keepdim=True).expand_as(image)
    assert outside.any()
    assert (image[outside] == 0).all()
    assert (image[~outside] != 0).all()


@pytest.mark.parametrize("brighter", [0.25, 3.0])
def test_a_cascade_that_is_not_told_lambda_sees_bright_and_faint_scans_alike(problem, brighter):
    """The whole network does not: at one inverse the consistent step weighs the proposal of the brighter scan less."""
    normal, inverse, scan, _ = problem
    cascade = outspoken(SMALL, (0.0, 1.0)).cascades[1]
    rho, hidden = solve(inverse, normal), torch.randn(1, SMALL.hidden, *(size // 2 for size in normal.shape[2:]))
    denoised, features = cascade(rho, normal, scan, hidden)
    as_bright = scan / torch.tensor([brighter, 1.0])
    scaled, same = cascade(brighter * rho, brighter * normal, as_bright, hidden)
    assert (denoised - rho).abs().max() > 1
    torch.testing.assert_close(scaled, brighter * denoised, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(same, features, atol=1e-4, rtol=1e-4)


def test_the_bound_of_the_same_features_grows_with_the_signal(problem):
    _, _, scan, _ = problem
    bound = Unrolled(SMALL).bound
    features = torch.randn(2, SMALL.width, 8, 8)
    torch.testing.assert_close(bound(features, scan / torch.tensor([3.0, 1.0])), 3 * bound(features, scan))


@pytest.mark.parametrize(
    ("share", "factor"), [(0.1, 0.8), (0.2, 0.8), (0.25, 0.9), (0.3, 1.0), (0.4, 0.9), (0.5, 0.8), (0.9, 0.8)]
)
def test_the_bound_is_stretched_by_a_factor_that_goes_with_the_share_of_lines(share, factor):
    bound = Unrolled(SMALL).bound
    features, scan = torch.randn(1, SMALL.width, 8, 8), torch.tensor([0.3, share])
    plain = bound(features, scan)
    bound.calibrate([0.2, 0.3, 0.5], [0.8, 1.0, 0.8])
    torch.testing.assert_close(bound(features, scan), factor * plain)


@pytest.mark.parametrize(("share", "factor"), [([0.2], [1.0]), ([0.3, 0.3], [1.0, 1.0]), ([0.2, 0.3], [1.0])])
def test_factors_without_shares_that_rise_are_refused(share, factor):
    with pytest.raises(ValueError, match="wanted two or more that rise"):
        Unrolled(SMALL).bound.calibrate(share, factor)


def test_checkpoints_know_no_factor_and_old_ones_that_hold_one_are_read():
    network = Unrolled(SMALL)
    network.bound.calibrate([0.2, 0.3], [0.8, 1.0])
    state = network.state_dict()
    assert not [key for key in state if key.endswith(("factor", "share"))]
    fresh = Unrolled(SMALL)
    fresh.load_state_dict(state | {"bound.factor": torch.ones(())})
    torch.testing.assert_close(fresh.bound.factor, torch.ones(2))
    torch.testing.assert_close(fresh.bound.tail.weight, network.bound.tail.weight)


@pytest.mark.parametrize(("told", "changed"), [((1.0, 0.0), (0.7, 1.0)), ((0.0, 1.0), (1.0, 0.7))])
def test_a_cascade_listens_to_lambda_and_to_the_share_of_lines(problem, told, changed):
    normal, _, scan, _ = problem
    cascade = outspoken(SMALL, told).cascades[0]

    def features(scan):
        seen_alike = normal * scan[1] / scan[0]
        return cascade(seen_alike, seen_alike, scan, None)[1]

    other = scan * torch.tensor(changed)
    assert (features(other) - features(scan)).abs().max() > 1e-2
    cascade.told.weight.data.zero_()
    torch.testing.assert_close(features(other), features(scan))

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not here: pip install 'scanside[build]'")

from engines.linear.combine import rss  # noqa: E402
from engines.linear.fourier import to_image  # noqa: E402
from engines.unrolled.problem import apply_inverse, network_problem, normal_image  # noqa: E402
from engines.unrolled.strength import scan_of  # noqa: E402
from tests.engines.coils import head, hybrid_space, noise_like, unit_maps  # noqa: E402
from trt_build.networks.unet import UNet, UNetShape  # noqa: E402
from trt_build.networks.varnet import VarNet, VarNetShape  # noqa: E402

LINES, WIDTH, COILS = 48, 32, 6


@pytest.fixture(scope="module")
def scan():
    """Maps, a whitened frame (coil, line, x) and its lines."""
    maps = unit_maps(COILS, LINES, WIDTH) * (np.abs(head(LINES, WIDTH)) > 0)
    acquired = np.zeros(LINES, np.bool_)
    acquired[::3] = acquired[16:32] = True
    hybrid = hybrid_space(maps * head(LINES, WIDTH) * 30) + noise_like((COILS, LINES, WIDTH))
    return maps.astype(np.complex64), (hybrid * acquired[:, None]).astype(np.complex64), acquired


def test_an_untrained_u_net_gives_the_linear_image(scan):
    maps, hybrid, acquired = scan
    problem = network_problem(maps, acquired, 0.1)
    normal = normal_image(problem, hybrid)
    with torch.inference_mode():
        given = (torch.from_numpy(array) for array in (normal, problem.inverse, scan_of(problem)))
        image = UNet(UNetShape(width=4))(*given).numpy()
    np.testing.assert_allclose(image[0], apply_inverse(problem.inverse, normal[0]), atol=1e-3)


def test_a_u_net_takes_any_multiple_of_eight():
    network = UNet(UNetShape(width=4))
    torch.nn.init.normal_(network.last.weight)
    for rows, columns in ((8, 16), (40, 24)):
        normal, inverse = torch.randn(2, 2, rows, columns), torch.randn(columns, 2 * rows, rows)
        assert network(normal, inverse, torch.tensor([0.4, 0.3])).shape == normal.shape


def test_a_u_net_sees_bright_and_faint_scans_alike():
    network = UNet(UNetShape(width=4))
    torch.nn.init.normal_(network.last.weight)
    normal, inverse, scan = 30 * torch.randn(1, 2, 16, 8), torch.randn(8, 32, 16), torch.tensor([0.4, 0.3])
    image = network(normal, inverse, scan)
    brighter = network(3 * normal, inverse, scan / torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(brighter, 3 * image, atol=1e-2, rtol=1e-4)


@pytest.fixture
def varnet():
    pytest.importorskip("fastmri", reason="fastmri is not here: pip install --no-deps fastmri")
    return lambda **sizes: VarNet(VarNetShape(width=4, levels=1, maps_width=4, maps_levels=1, **sizes))


def test_a_variational_network_without_cascades_is_the_root_sum_of_squares_of_zero_filling(varnet, scan):
    _, hybrid, acquired = scan
    with torch.inference_mode():
        image = varnet(cascades=0)(*(torch.from_numpy(a) for a in (hybrid[None], acquired, hybrid))).numpy()
    np.testing.assert_allclose(image[0], rss(to_image(hybrid, 1)), atol=1e-4)


def test_a_variational_network_learns_through_every_parameter(varnet, scan):
    _, hybrid, acquired = scan
    network = varnet(cascades=2)
    lines, calibration = torch.from_numpy(np.stack([hybrid, 2 * hybrid])), torch.from_numpy(hybrid * 1)
    calibration[:, :16] = calibration[:, 32:] = 0
    image = network(lines, torch.from_numpy(acquired), calibration)
    assert image.shape == (2, LINES, WIDTH)
    image.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())

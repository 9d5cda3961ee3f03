"""The consistent step of the networks is the one that the engines take, in both forms."""

import numpy as np
import pytest
import torch

from engines.unrolled.problem import apply_inverse
from trt_build.networks.consistency import solve


@pytest.mark.parametrize(("alias", "rows", "columns"), [(16, 16, 8), (4, 16, 8), (3, 24, 16)])
def test_it_is_the_product_of_the_engines_for_each_frame(alias, rows, columns):
    chance = np.random.default_rng(0)
    inverse = chance.standard_normal((rows * columns // alias, 2 * alias, alias), np.float32)
    planes = chance.standard_normal((3, 2, rows, columns), np.float32)
    solved = solve(torch.from_numpy(inverse), torch.from_numpy(planes)).numpy()
    for got, given in zip(solved, planes, strict=True):
        np.testing.assert_allclose(got, apply_inverse(inverse, given), atol=1e-4)


def test_its_gradient_is_the_adjoint():
    inverse = torch.randn(8, 32, 16, dtype=torch.float64)
    planes = torch.randn(1, 2, 16, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda given: solve(inverse, given), planes)

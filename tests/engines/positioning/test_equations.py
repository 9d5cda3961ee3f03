"""Normal equations that are summed in native code are those of the matrices."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engines.positioning.equations import affine_equations, bend_equations, equations


def chance(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("points", [1, 255, 256, 257, 1000])
@pytest.mark.parametrize("terms", [1, 13])
def test_they_are_those_of_the_matrix_for_any_number_of_points(points, terms):
    rows = chance().standard_normal((points, terms))
    weights, wanted = chance(1).standard_normal((2, points))
    normal, pulled = equations(rows, weights, wanted)
    np.testing.assert_allclose(normal, rows.T @ (rows * weights[:, None]), atol=1e-10)
    np.testing.assert_allclose(pulled, rows.T @ (weights * wanted), atol=1e-10)


def test_an_affine_step_has_those_of_its_design():
    arms, slopes = (chance(n).standard_normal((700, 3)) for n in range(2))
    weights, wanted = chance(2).random(700), chance(3).standard_normal(700)
    design = np.concatenate(((slopes[:, :, None] * arms[:, None]).reshape(-1, 9), slopes), axis=1)
    for made, known in zip(
        affine_equations(arms, slopes, weights, wanted), equations(design, weights, wanted), strict=True
    ):
        np.testing.assert_allclose(made, known, atol=1e-10)


def test_points_tell_the_nodes_that_they_hang_on_of_their_slopes():
    size, points = 6, 50
    shares = chance().random((points, size)) * (chance(1).random((points, size)) < 0.5)
    slopes, weights = chance(2).standard_normal((points, 3)), chance(3).random(points)
    stiffness = np.cov(chance(4).standard_normal((size, 30)))
    design = (shares[:, :, None] * slopes[:, None]).reshape(points, -1)  # node by node
    wanted = design.T @ (design * weights[:, None]) + np.kron(stiffness, np.eye(3))
    made = bend_equations(csr_matrix(shares), slopes, weights, stiffness)
    np.testing.assert_allclose(np.tril(made), np.tril(wanted), atol=1e-4)

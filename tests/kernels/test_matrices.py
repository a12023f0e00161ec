"""Two by two matrices."""

import numpy as np
import pytest

from xsubpix.kernels.matrices import determinant_2x2, inverse_2x2, solve_2x2


def test_numbers_are_those_of_numpy(rng):
    """Else signs or elements are swapped."""
    matrices, right = rng.normal(size=(50, 2, 2)), rng.normal(size=(50, 2))
    a, b, c, d = matrices.reshape(50, 4).T
    np.testing.assert_allclose(determinant_2x2(a, b, c, d), np.linalg.det(matrices), rtol=1e-9)
    inverse = np.stack(inverse_2x2(a, b, c, d), -1).reshape(50, 2, 2)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrices), rtol=1e-8)
    x, y = solve_2x2(a, b, c, d, *right.T)
    np.testing.assert_allclose(
        np.stack([x, y], -1)[..., None], np.linalg.solve(matrices, right[..., None]), rtol=1e-8
    )


def test_numba_compiles_them():
    """Else compiled kernels need a version of their own."""
    numba = pytest.importorskip("numba")
    arguments = (2.0, 0.5, 0.25, 3.0, 1.0, -2.0)
    assert numba.njit(solve_2x2)(*arguments) == solve_2x2(*arguments)


def test_matrices_without_inverse_are_told(rng):
    """Else a window with one edge is measured along it."""
    torch = pytest.importorskip("torch")
    from xsubpix.kernels.matrices_torch import inverse_of_regular

    good, line = np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([[1.0, 2.0], [2.0, 4.0]])
    inverse, regular = inverse_of_regular(torch.tensor(np.stack([good, line, -good])), 1e-3)
    assert regular.tolist() == [True, False, True]
    np.testing.assert_allclose(inverse[0], np.linalg.inv(good), rtol=1e-12)
    assert (inverse[1] == 0).all()

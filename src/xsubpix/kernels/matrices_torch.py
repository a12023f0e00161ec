"""Two by two matrices in torch, with those that have no inverse."""

from __future__ import annotations

import torch

from .matrices import determinant_2x2

__all__ = ["inverse_of_regular"]


def inverse_of_regular(
    matrix: torch.Tensor, least_ratio: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Invert 2 x 2 matrices that are positive and well enough conditioned.

    Parameters
    ----------
    matrix : torch.Tensor
        Shape (n, 2, 2).
    least_ratio : float
        Least ratio of the determinant to the squared trace: for eigenvalues in the ratio r,
        it is r / (1 + r)^2, about r for a small one.

    Returns
    -------
    inverse : torch.Tensor
        Shape (n, 2, 2), by the adjugate (:func:`~xsubpix.kernels.matrices.inverse_2x2`);
        zeros where the matrix is not regular.
    regular : torch.Tensor of bool
        Shape (n,).
    """
    (a, b), (c, d) = matrix.permute(1, 2, 0)
    determinant = determinant_2x2(a, b, c, d)
    regular = determinant > least_ratio * (a + d) ** 2
    determinant = torch.where(regular, determinant, 1.0)
    adjugate = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    return torch.where(regular[:, None, None], adjugate / determinant[:, None, None], 0.0), regular

"""Two by two matrices: determinants, inverses and systems of two equations.

Plain arithmetic: the same functions take numbers, NumPy arrays and torch tensors, and numba
compiles them.
"""

from __future__ import annotations

from typing import Any

__all__ = ["determinant_2x2", "inverse_2x2", "solve_2x2"]


def determinant_2x2(a: Any, b: Any, c: Any, d: Any) -> Any:
    """Determinant ``a d - b c`` of the matrices [[a, b], [c, d]].

    Parameters
    ----------
    a, b, c, d : float, numpy.ndarray or torch.Tensor
        Elements, row by row; shapes that go together.

    Returns
    -------
    float, numpy.ndarray or torch.Tensor
    """
    return a * d - b * c


def inverse_2x2(a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any, Any, Any]:
    r"""Inverse of the matrices [[a, b], [c, d]], by the adjugate.

    .. math:: \frac{1}{ad - bc} \begin{pmatrix} d & -b \\ -c & a \end{pmatrix}

    (Cramer's rule.)

    Parameters
    ----------
    a, b, c, d : float, numpy.ndarray or torch.Tensor
        Elements, row by row; shapes that go together. The caller sees to it that the
        determinant is not 0.

    Returns
    -------
    tuple
        Elements of the inverse, row by row.
    """
    determinant = a * d - b * c
    return d / determinant, -b / determinant, -c / determinant, a / determinant


def solve_2x2(a: Any, b: Any, c: Any, d: Any, u: Any, v: Any) -> tuple[Any, Any]:
    r"""Solve a x + b y = u, c x + d y = v, by Cramer's rule.

    .. math:: x = \frac{d u - b v}{a d - b c}, \quad y = \frac{a v - c u}{a d - b c}

    Parameters
    ----------
    a, b, c, d : float, numpy.ndarray or torch.Tensor
        Elements of the matrix, row by row; shapes that go together. The caller sees to it
        that the determinant is not 0.
    u, v : float, numpy.ndarray or torch.Tensor
        Right sides.

    Returns
    -------
    x, y : float, numpy.ndarray or torch.Tensor
    """
    determinant = a * d - b * c
    return (d * u - b * v) / determinant, (a * v - c * u) / determinant

"""Points through an affine transform, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import ArrayLike

__all__ = ["inverse_points", "transform_points"]


def transform_points(
    transform: Affine, u: ArrayLike, v: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Points ``(a u + b v + c, d u + e v + f)``, as arrays that broadcast.

    Examples
    --------
    >>> from affine import Affine
    >>> transform_points(Affine(10, 0, 500, 0, -10, 900), np.array([0.5, 1.5]), 0.5)
    (array([505., 515.]), array([895., 895.]))
    """
    a, b, c, d, e, f = transform[:6]
    u, v = np.asarray(u), np.asarray(v)
    return a * u + b * v + c, d * u + e * v + f


def inverse_points(transform: Affine, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Points (u, v) that a transform brings to (x, y); inverse of `transform_points`.

    Examples
    --------
    >>> from affine import Affine
    >>> inverse_points(Affine(10, 0, 500, 0, -10, 900), np.array([505.0, 515.0]), 895.0)
    (array([0.5, 1.5]), array([0.5, 0.5]))
    """
    a, b, c, d, e, f = transform[:6]
    det, x, y = a * e - b * d, np.asarray(x) - c, np.asarray(y) - f
    return (e * x - b * y) / det, (a * y - d * x) / det

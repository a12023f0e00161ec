"""Non-local means of displacement, weighted by its uncertainty (plain arrays)."""

from __future__ import annotations

import numpy as np

__all__ = ["non_local_means"]

#: Patches compared are (2 PATCH + 1)^2 pixels.
PATCH = 2
# Excess of a patch's distance, in units of noise variance, at which its weight is 1/e.
_WIDTH = 0.4


def non_local_means(
    field: np.ndarray, sigma: np.ndarray, radius: int, strength: float
) -> np.ndarray:
    r"""Mean of the places whose surroundings look alike.

    .. math:: \hat d(x) = \sum_y w(x, y)\, d(y), \quad
        w \propto \sigma_y^{-2} \exp\left(-\frac{\max(0, D^2 - 1)}{h}\right),

    D squared the mean over both components and a patch of the squared difference,
    divided by the sum of the two variances: 1 on average where only noise differs.

    Parameters
    ----------
    field : numpy.ndarray
        Components, shape (2, rows, cols); NaN is missing, and stays.
    sigma : numpy.ndarray
        Noise of one component, shape (rows, cols), above zero, same unit.
    radius : int
        Farthest place looked at in rows and columns.
    strength : float
        h is 0.4 times this.

    Returns
    -------
    numpy.ndarray of float32
        Shape (2, rows, cols).
    """
    from scipy.ndimage import uniform_filter

    known = np.isfinite(field).all(0) & (sigma > 0)
    data = np.where(known, field, 0.0).astype(np.float32)
    variance = np.where(known, sigma**2, 1.0).astype(np.float32)
    trust = np.where(known, 1.0 / variance, 0.0).astype(np.float32)
    total = trust.copy()
    mean = data * trust
    # A pair of places is visited once, and serves both ways.
    for dy in range(radius + 1):
        for dx in range(-radius, radius + 1):
            if dy == 0 and dx <= 0:
                continue
            here, there = _overlap(known.shape, dy, dx)
            if 0 in known[here].shape:
                continue
            both = (known[here] & known[there]).astype(np.float32)
            apart = ((data[:, *here] - data[:, *there]) ** 2).sum(0)
            apart = apart / (2.0 * (variance[here] + variance[there])) * both
            size = 2 * PATCH + 1
            filled = uniform_filter(both, size, mode="constant")
            distance = uniform_filter(apart, size, mode="constant") / np.maximum(filled, 1e-6)
            like = np.exp(-np.maximum(distance - 1.0, 0.0) / (_WIDTH * strength)) * both
            for one, other in ((here, there), (there, here)):
                weight = like * trust[other]
                total[one] += weight
                mean[:, *one] += weight * data[:, *other]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, mean / total, np.nan).astype(np.float32)


def _overlap(
    shape: tuple[int, ...], dy: int, dx: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of an array and the part (dy, dx) away from it that lie inside."""
    rows, cols = shape
    here = slice(0, max(rows - dy, 0)), slice(max(0, -dx), max(cols - max(0, dx), 0))
    there = slice(dy, rows), slice(max(0, dx), max(cols - max(0, -dx), 0))
    return here, there

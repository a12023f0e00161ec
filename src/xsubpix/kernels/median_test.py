"""Agreement of a displacement with its neighbours: the normalised median test."""

from __future__ import annotations

import numpy as np

__all__ = ["local_median", "normalised_deviation"]


def normalised_deviation(
    dx: np.ndarray, dy: np.ndarray, radius: int, noise: np.ndarray | float
) -> np.ndarray:
    r"""Deviation from the neighbours' median, in units of their own.

    .. math:: r = |u - m| / (\mathrm{median}_i |u_i - m| + \epsilon),

    m the median of the neighbours :math:`u_i`, component by component, the
    place itself not among them (Westerweel & Scarano 2005, with lengths of
    vectors in place of single components).

    Parameters
    ----------
    dx, dy : numpy.ndarray
        Displacement, shape (h, w), one unit; NaN is missing.
    radius : int
        Neighbours are the values at most so far along both axes, 1 or more.
    noise : float or numpy.ndarray
        :math:`\epsilon`, the scatter to be expected of good values, same unit,
        above zero.

    Returns
    -------
    numpy.ndarray of float32
        Shape (h, w), no unit; NaN where the value, or all its neighbours, are
        missing.

    References
    ----------
    Westerweel, J. & Scarano, F. (2005). Universal outlier detection for PIV
    data. Experiments in Fluids 39, 1096-1100.
    """
    around = [_neighbours(field, radius) for field in (dx, dy)]
    missing = ~(np.isfinite(around[0]) & np.isfinite(around[1]))
    medians = []
    for neighbours in around:
        neighbours[missing] = np.nan
        medians.append(_median(neighbours))
    scatter = _median(np.hypot(*(n - m[..., None] for n, m in zip(around, medians, strict=True))))
    own = np.hypot(dx - medians[0], dy - medians[1])
    return (own / (scatter + noise)).astype(np.float32)


def local_median(values: np.ndarray, radius: int) -> np.ndarray:
    """Median of each value's neighbours, itself not among them; NaN is left out."""
    return _median(_neighbours(values, radius))


def _neighbours(field: np.ndarray, radius: int) -> np.ndarray:
    """Values at most `radius` away along both axes: a copy (h, w, (2 radius + 1)^2 - 1)."""
    size = 2 * radius + 1
    padded = np.pad(field.astype(np.float32), radius, constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.delete(views.reshape(*field.shape, size * size), size * size // 2, axis=2)


def _median(values: np.ndarray) -> np.ndarray:
    """Median along the last axis of what is not NaN, without warnings."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    count = np.isfinite(values).sum(axis=-1, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[-1] - 1)
    picked = [np.take_along_axis(ordered, at, axis=-1)[..., 0] for at in (low, high)]
    return (picked[0] + picked[1]) / 2

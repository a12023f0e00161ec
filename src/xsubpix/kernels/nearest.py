"""Holes of arrays filled with the value of the nearest pixel that has one."""

from __future__ import annotations

import numpy as np

__all__ = ["fill_nearest", "nearest_valid"]


def nearest_valid(missing: np.ndarray) -> np.ndarray:
    r"""Indices of the nearest pixel that is not missing, for every pixel.

    .. math:: n(x) = \arg\min_{y \notin M} |x - y|,

    by the exact Euclidean distance transform (Maurer et al. 2003, in SciPy). Of several
    pixels equally near it takes one, always the same.

    Parameters
    ----------
    missing : numpy.ndarray of bool
        Shape (h, w); at least one pixel is not missing.

    Returns
    -------
    numpy.ndarray of int32
        Shape (2, h, w): row and column. A pixel that is not missing is its own nearest.

    References
    ----------
    Maurer, C. R., Qi, R. & Raghavan, V. (2003). A linear time algorithm for computing exact
    Euclidean distance transforms of binary images in arbitrary dimensions. IEEE Transactions
    on Pattern Analysis and Machine Intelligence 25, 265-270.
    """
    from scipy.ndimage import distance_transform_edt

    found: np.ndarray = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return found


def fill_nearest(values: np.ndarray, missing: np.ndarray | None = None) -> np.ndarray:
    """Give missing pixels the value of the nearest pixel that is not missing.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (..., h, w), any unit.
    missing : numpy.ndarray of bool, optional
        Shape (h, w); by default where one of the leading values is not finite.

    Returns
    -------
    numpy.ndarray
        Shape and type of `values`; `values` itself where nothing, or everything, is missing.

    Notes
    -----
    A spline's prefilter rings at a step from values to zero; it hardly does at a continuation
    by the nearest value. See :func:`nearest_valid` for the method.
    """
    if missing is None:
        missing = ~np.isfinite(values).reshape(-1, *values.shape[-2:]).all(axis=0)
    if not missing.any() or missing.all():
        return values
    rows, cols = nearest_valid(missing)
    return values[..., rows, cols]

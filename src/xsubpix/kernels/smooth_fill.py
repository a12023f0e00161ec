"""Holes of arrays filled by a smooth continuation of what surrounds them."""

from __future__ import annotations

import numpy as np

__all__ = ["fill_smooth"]

# Share of the Gaussian's weight on valid pixels below which nothing is near.
_NEAR = 1e-3
_TINY = 1e-6


def fill_smooth(
    values: np.ndarray, valid: np.ndarray, scale: float, background: float | None = None
) -> np.ndarray:
    r"""Give missing pixels the Gaussian mean of the valid pixels around them.

    .. math:: u(x) = \frac{(G * v u)(x)}{(G * v)(x)},

    v being 1 where a pixel is valid: normalised convolution of order zero (Knutsson &
    Westin 1993).

    Parameters
    ----------
    values : numpy.ndarray of float64
        Shape (h, w), any unit; 0 where missing.
    valid : numpy.ndarray of bool
        Shape (h, w).
    scale : float
        Standard deviation of the Gaussian, pixels.
    background : float, optional
        Value of pixels far from all valid ones; without it, their mean fades to zero.

    Returns
    -------
    numpy.ndarray of float64
        Shape (h, w); `values` itself where nothing is missing.

    References
    ----------
    Knutsson, H. & Westin, C.-F. (1993). Normalized and differential convolution. Proceedings
    of IEEE Conference on Computer Vision and Pattern Recognition, 515-523.

    Examples
    --------
    >>> import numpy as np
    >>> values, valid = np.full((5, 5), 3.0), np.ones((5, 5), bool)
    >>> values[2, 2], valid[2, 2] = 0.0, False
    >>> float(fill_smooth(values, valid, 1.0)[2, 2].round(9))
    3.0
    """
    from scipy.ndimage import gaussian_filter

    if valid.all():
        return values
    share = gaussian_filter(valid.astype(np.float64), scale)
    mean = gaussian_filter(values, scale) / np.maximum(share, _TINY)
    if background is not None:
        mean = np.where(share > _NEAR, mean, background)
    return np.where(valid, values, mean)

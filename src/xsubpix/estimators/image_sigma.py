"""Uncertainty of a result, from the images alone: for models that state none."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from ..kernels.local_correlation import LocalMean
from ..kernels.nearest import fill_nearest
from .likeness import Detail, at_pixels, fine_detail

__all__ = ["sigma_from_images"]

#: Side of the windows in which the images are compared, and the result with its median, pixels.
WINDOW = 25
#: One sigma over what the windows say. With it, one sigma covers 55 to 82 % of the errors of
#: `window-cnn`, `flownet-sd` and `geoflownet` on pairs of real and simulated dates.
FACTOR = 1.3
# The median is taken of values this far from each other, pixels.
_APART = 4
# Side of the squares that leave the result as it is but for single values, pixels.
_SMALL_MEDIAN = 12
# Least curvature of the correlation, per square pixel: less is no peak.
_LEAST_CURVATURE = 0.02
# Farthest that a peak is looked for, pixels.
_FARTHEST = 1.5
# Variance below which a window has no contrast, as a share of that of both images.
_FAINTEST = 1e-9


def sigma_from_images(
    pre: np.ndarray,
    post: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    *,
    halo: int,
    step: int,
    detail: Detail | None = None,
) -> np.ndarray:
    r"""One sigma of the result of one tile, from what the images say of it.

    Around each output, `post` is moved back by the result. Where the result is right, windows
    correlate most without a further shift. Three things add up: the shift :math:`r` to the
    peak of the correlation, through its values one pixel away; the scatter :math:`s` of the
    result around its running median, at least half of the value's own; and what noise leaves open,

    .. math:: \sigma^2 = k^2 \left(\frac{r_x^2 + r_y^2}{2} + \frac{s_x^2 + s_y^2}{2}
        + \frac{1 - \rho^2}{N \kappa}\right)

    with the correlation :math:`\rho`, its curvature :math:`\kappa` and the pixels `N` of a
    window that both images have.

    Parameters
    ----------
    pre, post : numpy.ndarray of float32
        Tile of both images, shape (h, w), NaN for missing.
    dx, dy : numpy.ndarray
        Result, input pixels, shape (tile, tile); NaN for missing.
    halo, step : int
        Geometry of the tile, see :class:`~xsubpix.estimators.base.Estimator`.
    detail : Detail, optional
        :func:`~xsubpix.estimators.likeness.fine_detail` of the images, found where not given.

    Returns
    -------
    numpy.ndarray of float32
        Shape (tile, tile), input pixels; NaN where the result is.

    Examples
    --------
    >>> ground = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(96, 97)), 1)
    >>> pre, post = ground[:, 1:], ground[:, :-1]  # moved one pixel to the right
    >>> right, still = np.ones((4, 4), "f4"), np.zeros((4, 4), "f4")
    >>> bool(sigma_from_images(pre, post, right, still, halo=32, step=8).max() < 0.1)
    True
    >>> bool(sigma_from_images(pre, post, still, still, halo=32, step=8).min() > 0.5)
    True
    """
    known = np.isfinite(dx) & np.isfinite(dy)
    if not known.any():
        return np.full(dx.shape, np.nan, np.float32)
    # Windows of outputs, and the pixel beside them, need no more of the tile than this.
    cut = max(0, halo - WINDOW // 2 - 2)
    inner = slice(cut, pre.shape[0] - cut)
    at = halo - cut + step * np.arange(dx.shape[0]) + step // 2
    detail = fine_detail(pre, post) if detail is None else detail
    square = _squared_shift(detail, dx, dy, known, cut, step, inner)[np.ix_(at, at)]
    square += (_squared_scatter(dx, known, step) + _squared_scatter(dy, known, step)) / 2.0
    return np.where(known, FACTOR * np.sqrt(square), np.nan).astype(np.float32)


def _squared_scatter(part: np.ndarray, known: np.ndarray, step: int) -> np.ndarray:
    """Mean square of what a component differs by from its running median, at the outputs."""
    every = max(1, _APART // step)
    values = fill_nearest(np.where(known, part, np.nan).astype(np.float64))
    nearest = [np.arange(n) // every for n in values.shape]
    values = values[::every, ::every]
    side = max(3, WINDOW // (step * every) | 1)
    scatter = values - scipy.ndimage.median_filter(values, side, mode="nearest")
    mean = scipy.ndimage.uniform_filter(scatter**2, side, mode="nearest")
    # A value that stands alone would vanish in the mean.
    found: np.ndarray = np.maximum(mean, scatter**2 / 4.0)[np.ix_(*nearest)]
    return found


def _squared_shift(
    detail: Detail,
    dx: np.ndarray,
    dy: np.ndarray,
    known: np.ndarray,
    cut: int,
    step: int,
    inner: slice,
) -> np.ndarray:
    """Mean square of the shift that is left, and of what noise makes of it, at the pixels."""
    (one, one_ok), (two, two_ok) = detail
    rows, cols = np.indices(one[inner, inner].shape, dtype=np.float32) + np.float32(cut)
    border = (one.shape[0] - step * dx.shape[0]) // 2 - cut
    places = [
        first + at_pixels(part, known, border, step, rows.shape, _SMALL_MEDIAN)
        for first, part in ((rows, dy), (cols, dx))
    ]
    # A pixel more on each side, which is looked at too.
    back, there = (
        scipy.ndimage.map_coordinates(image.astype(np.float32), places, order=1, mode="constant")
        for image in (two, two_ok)
    )
    one, one_ok = one[inner, inner], one_ok[inner, inner]
    faint = _FAINTEST * max(float(np.square(one).mean() * np.square(back).mean()), 1e-30)

    def correlation(down: int, right: int) -> np.ndarray:
        moved, ok = (np.roll(image, (-down, -right), (0, 1)) for image in (back, there > 0.99))
        moments = LocalMean(one_ok & ok, WINDOW).moments(one, moved)
        product = np.maximum(moments.variance_a, 0.0) * np.maximum(moments.variance_b, 0.0)
        scaled = moments.covariance / np.sqrt(np.maximum(product, faint))
        return np.where(product > faint, np.clip(scaled, -1.0, 1.0), 0.0)

    found = correlation(0, 0)
    pixels = WINDOW**2 * LocalMean(one_ok & (there > 0.99), WINDOW).share
    total = np.zeros(found.shape)
    for down, right in ((1, 0), (0, 1)):
        after, before = correlation(down, right), correlation(-down, -right)
        curvature = np.maximum(2.0 * found - after - before, _LEAST_CURVATURE)
        shift = np.clip((after - before) / (2.0 * curvature), -_FARTHEST, _FARTHEST)
        total += (shift**2 + (1.0 - found**2) / (pixels * curvature)) / 2.0
    return total

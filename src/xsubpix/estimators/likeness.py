"""Likeness of two images along a displacement field: where it shows nothing of the same ground.

A regularised field bends to resemble whatever it is given, so that the correlation along it
is high over ground that changed. Along its running median it is not: that follows faults,
and no chance resemblance of a few pixels. Results that leave the median although the images
do not resemble each other along it are right where they resemble each other along the field
itself, as beside faults and on what moved by itself; where they do not, most are wrong.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from ..kernels.local_correlation import LocalMean, without_local_mean
from ..kernels.nearest import fill_nearest

__all__ = ["FINE", "Detail", "at_pixels", "fine_detail", "flat_in_one", "unlike"]

#: Of each of two images: values without a mean over :data:`FINE` pixels, 0 where missing, and
#: where there are any; see :func:`~xsubpix.kernels.local_correlation.without_local_mean`.
Detail = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
#: Side of the mean that is taken off, pixels.
FINE = 9

#: Side of the windows that are compared, pixels.
WINDOW = 25
#: Correlations below which a window shows other ground: of what is left of the images without
#: a mean over 9 pixels, and without one over 33. Both have to be low.
UNLIKE_FINE, UNLIKE_COARSE = 0.15, 0.5
#: Distance from the running median, pixels, beyond which a result needs windows that
#: correlate this well, without a mean over 9 pixels: along the median or along the field
#: itself. Chosen with `dis` on two real pairs of two dates and on chips with simulated ones:
#: on one of the pairs, 85 % of what is wrong by half a pixel and five sigma lies beyond, and
#: 6 % of what is right.
BENT, BENT_FINE = 0.4, 0.8
# Side of the other mean that is taken off, pixels.
_COARSE = 33
# Least distance over which results depend on each other, pixels.
_LEAST_REACH = 12
# Variance of a tile that is compared with, percent: half of it may be clouds.
_USUAL = 75
# The median is taken over squares of this side, of values this far from each other, pixels.
_MEDIAN, _APART = 36, 4
# Side of the squares that leave the field as it is but for single values, pixels.
_SMALL_MEDIAN = 12
#: Shares of the variance of a tile, in windows of 9 pixels without their means: ground is flat
#: below the first, and has texture above the second. On two real pairs of six bands each,
#: 0 to 0.6 % of what `dis` measures right lies within 24 pixels of ground that is flat in one
#: of the images and has texture in the other.
FLAT_SHARE, TEXTURED_SHARE = 0.01, 0.2
#: The rim of a cloud is a mixture of it and of the ground, so many pixels wide.
RIM = 12
# Share of the image's variance below which a window is flat.
_FLAT = 1e-4
# Least share of a window that has data.
_LEAST_SHARE = 0.5


def fine_detail(pre: np.ndarray, post: np.ndarray) -> Detail:
    """Fine detail of two images: less their mean over 9 pixels.

    Parameters
    ----------
    pre, post : numpy.ndarray of float32
        Tile of both images, shape (h, w), NaN for missing.

    Returns
    -------
    Detail
        Values and where there are any, of `pre` and of `post`.

    Examples
    --------
    >>> (values, known), _ = fine_detail(np.eye(3), np.full((3, 3), np.nan))
    >>> round(float(values[0, 0]), 3), bool(known.all())
    (0.667, True)
    """
    return without_local_mean(pre, FINE), without_local_mean(post, FINE)


def unlike(
    pre: np.ndarray,
    post: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    *,
    halo: int,
    step: int,
    reach: float = 0.0,
    detail: Detail | None = None,
) -> np.ndarray:
    """Outputs of one tile around which the images show nothing of the same ground.

    Parameters
    ----------
    pre, post : numpy.ndarray of float32
        Tile of both images, shape (h, w), NaN for missing.
    dx, dy : numpy.ndarray
        Result, input pixels, shape (tile, tile); NaN for missing.
    halo, step : int
        Geometry of the tile, see :class:`~xsubpix.estimators.base.Estimator`.
    reach : float
        Distance over which results depend on each other, pixels: what lies so near to
        windows that show other ground is taken for such too.
    detail : Detail, optional
        :func:`fine_detail` of the images, found where not given.

    Returns
    -------
    numpy.ndarray of bool
        Shape (tile, tile).

    Examples
    --------
    >>> one, two = np.random.default_rng(0).normal(size=(2, 96, 96)).astype("f4")
    >>> still = np.zeros((4, 4), "f4")
    >>> bool(unlike(one, one, still, still, halo=32, step=8).any())
    False
    >>> bool(unlike(one, two, still, still, halo=32, step=8).all())
    True
    """
    none = np.zeros(dx.shape, bool)
    known = np.isfinite(dx) & np.isfinite(dy)
    if not known.any():
        return none
    # Windows of outputs need no more of the tile than this.
    cut = max(0, halo - WINDOW // 2 - 1)
    inner = slice(cut, pre.shape[0] - cut)
    rows, cols = np.indices(pre[inner, inner].shape, dtype=np.float32) + np.float32(cut)

    def along(median: int) -> tuple[tuple[np.ndarray, np.ndarray], list[np.ndarray]]:
        flow = [at_pixels(part, known, halo - cut, step, rows.shape, median) for part in (dy, dx)]
        return (rows + flow[0], cols + flow[1]), flow

    at = halo - cut + step * np.arange(dx.shape[0]) + step // 2
    outputs = np.ix_(at, at)
    places, flow = along(_MEDIAN)
    detail = fine_detail(pre, post) if detail is None else detail
    whole = without_local_mean(pre, _COARSE), without_local_mean(post, _COARSE)
    fine, coarse = (_correlation(pair, inner, places)[outputs] for pair in (detail, whole))
    other = (fine < UNLIKE_FINE) & (coarse < UNLIKE_COARSE) & known
    steps = int(reach // step)
    if steps and other.any():
        other = scipy.ndimage.distance_transform_edt(~other) <= steps
    away = [abs(part - median[outputs]) for part, median in zip((dy, dx), flow, strict=True)]
    bent = known & (np.maximum(*away) > BENT) & (fine < BENT_FINE) & ~other
    if bent.any():
        places, _ = along(_SMALL_MEDIAN)
        other |= bent & (_correlation(detail, inner, places)[outputs] < BENT_FINE)
    return other & known


def flat_in_one(
    pre: np.ndarray,
    post: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    *,
    halo: int,
    step: int,
    support: int,
    detail: Detail | None = None,
) -> np.ndarray:
    """Outputs of one tile near ground that is flat in one image and has texture in the other.

    Thick clouds, snow and what a sensor saturates on. Windows within their reach match what
    lies beside them, or the rim alone.

    Parameters
    ----------
    pre, post, dx, dy, halo, step
        As for :func:`unlike`.
    support : int
        Reach of the window that makes one output's value, pixels, taken for 12 at least, which
        regularised models reach over; :data:`RIM` more is near.
    detail : Detail, optional
        As for :func:`unlike`.

    Returns
    -------
    numpy.ndarray of bool
        Shape (tile, tile).

    Examples
    --------
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).astype("f4")
    >>> cloudy, still = ground.copy(), np.zeros((4, 4), "f4")
    >>> cloudy[:40] = 200.0
    >>> near = flat_in_one(ground, cloudy, still, still, halo=32, step=8, support=0)
    >>> near[:, 0].tolist()
    [True, True, True, False]
    """
    known = np.isfinite(dx) & np.isfinite(dy)
    shares = [_texture_share(*image) for image in detail or fine_detail(pre, post)]
    if not known.any() or not any((share < FLAT_SHARE).any() for share in shares):
        return np.zeros(dx.shape, bool)
    rows, cols = np.indices(pre.shape, dtype=np.float32)
    flow = [at_pixels(part, known, halo, step, rows.shape, _MEDIAN) for part in (dy, dx)]
    here = shares[0]
    there = scipy.ndimage.map_coordinates(
        shares[1], (rows + flow[0], cols + flow[1]), order=1, mode="nearest"
    )
    flat = (here < FLAT_SHARE) & (there > TEXTURED_SHARE)
    flat |= (there < FLAT_SHARE) & (here > TEXTURED_SHARE)
    at = halo + step * np.arange(dx.shape[0]) + step // 2
    if not flat.any():
        return np.zeros(dx.shape, bool)
    near = scipy.ndimage.distance_transform_edt(~flat) <= RIM + max(support, _LEAST_REACH)
    return near[np.ix_(at, at)] & known


def _texture_share(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Variance of a tile's detail around each pixel over that of most of it; NaN beside holes.

    What is missing is neither flat nor textured, and a few pixels beside it are by chance.
    """
    if not known.any():
        return np.full(values.shape, np.nan, np.float32)
    variance = np.maximum(LocalMean(known, FINE)(values * values), 0.0)
    usual = np.percentile(variance[known], _USUAL)
    known = scipy.ndimage.minimum_filter(known, FINE, mode="nearest")
    share: np.ndarray = np.where(known & (usual > 0), variance / max(usual, 1e-30), np.nan)
    return share.astype(np.float32)


def at_pixels(
    part: np.ndarray,
    known: np.ndarray,
    border: int,
    step: int,
    shape: tuple[int, ...],
    median: int,
) -> np.ndarray:
    """Median of a component in squares, at the pixels of a tile.

    Parameters
    ----------
    part, known : numpy.ndarray
        Component, input pixels, and where it has a value, shape (tile, tile).
    border : int
        Pixels of the tile before the first output's block.
    step : int
        Pixels of an output's block.
    shape : tuple of int
        Pixels of the tile.
    median : int
        Side of the squares, pixels; they hold three values a side at least.

    Returns
    -------
    numpy.ndarray of float32
        Input pixels.
    """
    every = max(1, _APART // step)
    values = fill_nearest(np.where(known, part, np.nan).astype(np.float64))
    values = values[every // 2 :: every, every // 2 :: every]
    spacing = step * every
    side = max(3, median // spacing | 1)
    values = scipy.ndimage.median_filter(values, side, mode="nearest")
    first = border + step * (every // 2) + (step - 1) / 2
    index = [np.clip((np.arange(n) - first) / spacing, 0, len(values) - 1) for n in shape]
    grid = np.meshgrid(*index, indexing="ij")
    found: np.ndarray = scipy.ndimage.map_coordinates(values, grid, order=1, output=np.float32)
    return found


def _correlation(
    pair: Detail,
    inner: slice,
    places: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Correlation in windows of two images; 1 where nothing can be said.

    `pair` has the values of each and where there are any, of :func:`without_local_mean`.
    """
    (one, one_ok), (two, two_ok) = pair
    flat = [_FLAT * float(image[ok].var()) if ok.any() else 0.0
            for image, ok in ((one, one_ok), (two, two_ok))]  # fmt: skip
    back, there = (
        scipy.ndimage.map_coordinates(image.astype(np.float32), places, order=1, mode="constant")
        for image in (two, two_ok)
    )
    here = one_ok[inner, inner] & (there > 0.99)
    mean = LocalMean(here, WINDOW)
    moments = mean.moments(one[inner, inner], back)
    a, b = (np.maximum(v, 0.0) for v in moments[:2])
    textured = (a > flat[0]) & (b > flat[1])
    found = moments.covariance / np.sqrt(np.where(textured, a * b, 1.0))
    # One image has texture, the other none: other ground, or a cloud.
    found = np.where(textured, found, np.where((a > flat[0]) | (b > flat[1]), 0.0, 1.0))
    return np.where(mean.share >= _LEAST_SHARE, found, 1.0)

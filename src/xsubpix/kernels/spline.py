"""Images between their pixels, by quintic B-splines, around holes too."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from .nearest import fill_nearest

__all__ = ["HALFWAY_REACH", "PREFILTER_REACH", "SUPPORT", "sample_quintic"]

Missing: TypeAlias = Literal["support", "nearest"]

#: Reach of the prefilter, pixels. It is recursive: a sample's influence on the coefficients
#: fades by 0.43 a pixel. 20 px of context leave 1e-8 of it (12 px: 2e-5, 8 px: 5e-4).
PREFILTER_REACH = 20
#: A quintic B-spline spans six pixels, three on each side.
SUPPORT = 3
#: Reach of the half-way samples of an oversampled image, pixels: a Kaiser-windowed sinc of 24
#: pixels, exact to 1e-3 up to 0.85 of Nyquist.
HALFWAY_REACH = 12
# Positions may lie so far beyond the border's pixel centres, pixels: rounding must not cost
# the border.
_SLACK = 5e-4


def sample_quintic(
    image: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    *,
    missing: Missing = "support",
    oversample: int = 1,
    device: str = "cpu",
) -> np.ndarray:
    r"""Values of an image between its pixels, by quintic B-splines.

    .. math:: v(y, x) = \sum_{ij} c_{ij} \beta^5(y - i) \beta^5(x - j),

    the coefficients c such that v equals the image at its pixels (Unser et al. 1993). The
    image is continued by reflection on its border pixels. Under holes the spline sees the
    nearest value, which keeps its prefilter from ringing around them.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (h, w); NaN is missing.
    rows, cols : numpy.ndarray
        Positions, pixels (centres at whole numbers), shapes that broadcast to (p, q).
    missing : {"support", "nearest"}
        What a missing pixel takes with it: ``"support"`` all positions whose 6 x 6 pixels
        hold one; ``"nearest"`` those to which it is the nearest pixel, so that holes keep
        their size, and their rims rest on the continuation.
    oversample : {1, 2}
        2: splines on samples half a pixel apart, made by a windowed sinc of 24 pixels: what
        has up to 0.8 of the Nyquist frequency comes to 0.001 px of its position. 1: splines
        on the image as it is, 0.005 px at 0.6 of Nyquist, 0.04 px at 0.8, in half of the
        time.
    device : str
        ``"cpu"`` (SciPy) or a torch device.

    Returns
    -------
    numpy.ndarray of float32
        Shape (p, q); NaN where a position is NaN, where `missing` says so, and outside of the
        image's pixel centres (with ``"nearest"``: of its pixels).

    References
    ----------
    Unser, M., Aldroubi, A. & Eden, M. (1993). B-spline signal processing.
    IEEE Transactions on Signal Processing 41, 821-848.
    """
    holes = ~np.isfinite(image)
    rows, cols = np.broadcast_arrays(rows, cols)
    if holes.all():
        return np.full(rows.shape, np.nan, np.float32)
    margin = 0.5 if missing == "nearest" else _SLACK
    inside = np.ones(rows.shape, bool)
    for position, size in ((rows, image.shape[0]), (cols, image.shape[1])):
        inside &= (position >= -margin) & (position <= size - 1 + margin)
    rows, cols = np.where(inside, rows, 0.0), np.where(inside, cols, 0.0)
    near_hole = None
    if holes.any():
        image = fill_nearest(image, holes)
        inside &= ~_touched(holes, rows, cols, missing)
        if oversample == 2:
            near_hole = _within(holes, 2 * HALFWAY_REACH + 6, 0, rows, cols)
    image = image.astype(np.float64)
    values = _sample_whole(image, rows, cols, oversample, device)
    if near_hole is not None:
        # The sinc reaches farther than the spline: not over holes.
        values = np.where(near_hole, _sample_whole(image, rows, cols, 1, device), values)
    values[~inside] = np.nan
    return values


def _touched(holes: np.ndarray, rows: np.ndarray, cols: np.ndarray, missing: Missing) -> np.ndarray:
    """Mark positions that a hole takes with it."""
    if missing == "support":
        # The six pixels of the spline reach from two before floor(position) to three after.
        # On a pixel itself it is the pixel's own value, but for the rounding of its position.
        return _within(holes, 2 * SUPPORT, -1, rows, cols)
    nearest = (np.rint(x).astype(int) for x in (rows, cols))
    return holes[tuple(np.clip(i, 0, n - 1) for i, n in zip(nearest, holes.shape, strict=True))]


def _within(
    holes: np.ndarray, side: int, origin: int, rows: np.ndarray, cols: np.ndarray
) -> np.ndarray:
    """Mark positions with a hole in the square of pixels around their floor."""
    from scipy.ndimage import maximum_filter

    wide = maximum_filter(holes, size=side, origin=origin, mode="mirror")
    first = (np.floor(x).astype(int) for x in (rows, cols))
    return wide[tuple(np.clip(i, 0, n - 1) for i, n in zip(first, holes.shape, strict=True))]


def _sample_whole(
    image: np.ndarray, rows: np.ndarray, cols: np.ndarray, oversample: int, device: str
) -> np.ndarray:
    """Sample an image (float64) in which nothing is missing, at positions inside of it."""
    if oversample == 2:
        image, rows, cols = _with_halfway_samples(image), 2.0 * rows, 2.0 * cols
    if device == "cpu":
        from scipy.ndimage import map_coordinates

        values: np.ndarray = map_coordinates(
            image, [rows, cols], order=5, mode="mirror", output=np.float32
        )
        return values
    from .spline_torch import sample_quintic_on

    return sample_quintic_on(device, image, rows, cols)


def _with_halfway_samples(image: np.ndarray) -> np.ndarray:
    """Samples of an image (h, w) half a pixel apart, shape (2 h - 1, 2 w - 1)."""
    from scipy.ndimage import correlate1d

    offset = np.arange(-HALFWAY_REACH, HALFWAY_REACH + 1)
    # Value half a pixel further on; the first of the odd number of weights is not used.
    window = np.kaiser(2 * HALFWAY_REACH, 5.65)
    weights = np.concatenate([[0.0], np.sinc(offset[1:] - 0.5) * window])
    weights /= weights.sum()
    for axis in (0, 1):
        halfway = correlate1d(image, weights, axis=axis, mode="mirror")
        both = np.stack([image, halfway], axis=axis + 1)
        shape = list(image.shape)
        shape[axis] *= 2
        image = np.delete(both.reshape(shape), -1, axis=axis)
    return image

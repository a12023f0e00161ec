"""Means, variances and correlations in a square around each pixel.

Running sums make the cost independent of the square's side.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from ..errors import DataError, GridError

__all__ = [
    "LocalMean", "LocalMoments", "box_mean", "local_correlation", "local_moments",
    "without_local_mean",
]  # fmt: skip

# A window whose variance is below this share of the image's is called flat: its correlation
# would be that of rounding errors.
_FLAT = 1e-7
# Least share of known pixels that is divided by.
_LEAST_SHARE = 1e-9


def box_mean(values: np.ndarray, side: int) -> np.ndarray:
    """Mean over a centred square, with zeros beyond the array.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (h, w), any unit, finite.
    side : int
        Side of the square, pixels; an even one reaches one pixel further up and to the left.

    Returns
    -------
    numpy.ndarray of float64
        Shape (h, w): the sum divided by ``side ** 2``.
    """
    from scipy.ndimage import uniform_filter

    mean: np.ndarray = uniform_filter(values.astype(np.float64), side, mode="constant")
    return mean


@dataclasses.dataclass(frozen=True, eq=False)
class LocalMean:
    r"""Means over the known pixels of a square around each pixel.

    .. math:: \langle v \rangle(x) = \frac{\sum_{y \in B(x)} k(y) v(y)}{\sum_{y \in B(x)} k(y)}

    Attributes
    ----------
    known : numpy.ndarray of bool
        Shape (h, w).
    side : int
        Side of the square, pixels.
    """

    known: np.ndarray
    side: int

    @functools.cached_property
    def share(self) -> np.ndarray:
        """Share of known pixels in each square, shape (h, w); nothing is known beyond."""
        return np.maximum(box_mean(self.known, self.side), _LEAST_SHARE)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Mean of `values` (h, w), which may be anything where not known."""
        return box_mean(np.where(self.known, values, 0.0), self.side) / self.share

    def variance(self, values: np.ndarray) -> np.ndarray:
        """Variance of `values` (h, w) in each square: the mean square less the squared mean.

        Rounding leaves about 1e-16 of the mean square, of either sign: take the image's
        mean off before.
        """
        return self(values * values) - self(values) ** 2

    def moments(self, a: np.ndarray, b: np.ndarray) -> LocalMoments:
        """Variances and covariance of two images (h, w); see :meth:`variance`."""
        mean_a, mean_b = self(a), self(b)
        return LocalMoments(
            self(a * a) - mean_a**2, self(b * b) - mean_b**2, self(a * b) - mean_a * mean_b
        )


def without_local_mean(image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Take the mean over a square of `side` pixels off an image.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (h, w), any unit; NaN is missing.
    side : int
        Side of the square, pixels; it is cut at the border.

    Returns
    -------
    values : numpy.ndarray of float64
        Shape (h, w), 0 where missing.
    known : numpy.ndarray of bool
        Where the image has a value.

    Examples
    --------
    >>> import numpy as np
    >>> values, known = without_local_mean(np.array([[1.0, 2.0, np.nan]]), 3)
    >>> values.tolist(), known.tolist()
    ([[-0.5, 0.5, 0.0]], [[True, True, False]])
    """
    known = np.isfinite(image)
    return np.where(known, image - LocalMean(known, side)(image), 0.0), known


class LocalMoments(NamedTuple):
    """Moments of two images in a square around each pixel.

    Attributes
    ----------
    variance_a, variance_b, covariance : numpy.ndarray of float64
        Shape (h, w), squared units of the images.
    """

    variance_a: np.ndarray
    variance_b: np.ndarray
    covariance: np.ndarray


def local_correlation(
    a: np.ndarray, b: np.ndarray, window: int = 32, *, valid_fraction: float = 0.5
) -> np.ndarray:
    r"""Zero-mean normalised cross-correlation in a window around each pixel.

    .. math:: \rho = \frac{\langle a b \rangle - \langle a \rangle \langle b \rangle}
        {\sqrt{(\langle a^2 \rangle - \langle a \rangle^2)
               (\langle b^2 \rangle - \langle b \rangle^2)}}

    (Lewis 1995), the means over the pixels of the window that both images have. Windows are
    cut at the border of the image, not mirrored; those of even side reach one pixel further
    up and to the left.

    Parameters
    ----------
    a, b : numpy.ndarray
        Images on one grid, shape ``(h, w)``, any unit. NaN is missing.
    window : int
        Side of the window, pixels.
    valid_fraction : float
        Share of the window's pixels that must be valid in both images.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(h, w)``, -1 to 1; NaN where too little is valid or where one
        image is flat.

    Raises
    ------
    GridError
        If the shapes differ or are not two-dimensional.
    DataError
        If `window` is below 2 or above both sides of the image.

    References
    ----------
    Lewis, J. P. (1995). Fast normalized cross-correlation. Vision Interface, 120-123.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> float(local_correlation(ground, ground).min()) > 0.999
    True
    """
    moments = local_moments(a, b, window, valid_fraction=valid_fraction)
    flat_a = _FLAT * _variance(a)
    flat_b = _FLAT * _variance(b)
    usable = (moments.variance_a > flat_a) & (moments.variance_b > flat_b)
    product = np.where(usable, moments.variance_a * moments.variance_b, np.nan)
    rho = moments.covariance / np.sqrt(product)
    return np.clip(rho, -1.0, 1.0).astype(np.float32)


def local_moments(
    a: np.ndarray, b: np.ndarray, window: int = 32, *, valid_fraction: float = 0.5
) -> LocalMoments:
    """Variances and covariance of two images in a window around each pixel.

    Parameters, missing data and errors are those of :func:`local_correlation`.

    Returns
    -------
    LocalMoments
        NaN where less than `valid_fraction` of the window is valid.
    """
    _check_pair(a, b, window)
    valid = np.isfinite(a) & np.isfinite(b)
    mean = LocalMean(valid, window)
    # The global mean goes first: sums of squares of raw counts would lose the small variances.
    moments = mean.moments(_centred(a, valid), _centred(b, valid))
    enough = mean.share >= valid_fraction * box_mean(np.ones(a.shape), window)
    variance_a, variance_b, covariance = (np.where(enough, m, np.nan) for m in moments)
    return LocalMoments(np.maximum(variance_a, 0.0), np.maximum(variance_b, 0.0), covariance)


def _check_pair(a: np.ndarray, b: np.ndarray, window: int) -> None:
    """Refuse images that are not on one grid, and windows that do not fit."""
    if a.ndim != 2 or a.shape != b.shape:
        raise GridError(
            f"Shapes {a.shape} and {b.shape}: give two images (h, w) on the same grid, for "
            "instance after post.rio.reproject_match(pre)."
        )
    if not 2 <= window <= min(a.shape):
        raise DataError(
            f"window={window} does not fit images of shape {a.shape}: give 2 to {min(a.shape)}."
        )


def _centred(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Subtract the mean of the valid pixels, in float64; zero where not valid."""
    values = np.where(valid, image, 0.0).astype(np.float64)
    mean = values.sum() / max(int(valid.sum()), 1)
    return np.where(valid, values - mean, 0.0)


def _variance(image: np.ndarray) -> float:
    """Variance of the finite pixels; 0 for none."""
    values = image[np.isfinite(image)]
    return float(values.var(dtype=np.float64)) if values.size else 0.0

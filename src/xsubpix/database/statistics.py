"""Common and uncommon parts of two images of the same ground.

Plain numpy kernels behind the selection of stable pairs
(:mod:`xsubpix.database.pairs`) and behind the calibration of simulated second
dates (:mod:`xsubpix.second_date`): the correlation in small windows,
and the spectrum of the part of one image that no local gain and offset of the
other explains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.fft

from ..errors import DataError, GridError
from ..kernels.local_correlation import LocalMoments, local_correlation, local_moments

__all__ = ["LocalMoments", "Spectrum", "local_correlation", "local_moments", "residual_spectrum"]

# A window whose variance is below this share of the image's is called flat: its correlation
# would be that of rounding errors.
_FLAT = 1e-7


class Spectrum(NamedTuple):
    """Radially averaged power of an image and of its uncommon part.

    Attributes
    ----------
    frequency : numpy.ndarray of float64
        Centres of the annuli, cycles per pixel, up to Nyquist (0.5).
    residual : numpy.ndarray of float64
        Power of the second image after the best local gain and offset of the
        first are taken away, as a share of the second image's local variance
        per frequency cell: ``residual / total`` is the uncommon share at a
        frequency (one minus the coherence of a locally linear model).
    total : numpy.ndarray of float64
        Power of the second image, in the same unit.
    """

    frequency: np.ndarray
    residual: np.ndarray
    total: np.ndarray


def residual_spectrum(
    a: np.ndarray, b: np.ndarray, window: int = 32, *, bins: int | None = None
) -> Spectrum:
    """Spectrum of what the second image does not share with the first.

    Windows that overlap by half are tapered (Hann); in each, ``b`` is fitted by
    ``gain * a + offset`` with the taper as weight, and the periodograms of the
    residual and of ``b`` are divided by the window's variance of ``b``, so that
    every window counts alike, and averaged over windows and over annuli. Windows
    with missing pixels or without texture are left out.

    Parameters
    ----------
    a, b : numpy.ndarray
        Images on one grid, shape ``(h, w)``, any unit. NaN is missing.
    window : int
        Side of the window, pixels.
    bins : int, optional
        Number of annuli up to Nyquist; default ``window // 2``.

    Returns
    -------
    Spectrum

    Raises
    ------
    GridError
        If the shapes differ or are not two-dimensional.
    DataError
        If `window` does not fit, or no window is complete and textured.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(128, 128))
    >>> spectrum = residual_spectrum(image, image + 0.1 * rng.normal(size=image.shape))
    >>> bool((spectrum.residual < 0.05 * spectrum.total).all())
    True
    """
    _check_pair(a, b, window)
    tiles_a = _tiles(a, window)
    tiles_b = _tiles(b, window)
    complete = np.isfinite(tiles_a).all(axis=(1, 2)) & np.isfinite(tiles_b).all(axis=(1, 2))
    tiles_a, tiles_b = tiles_a[complete], tiles_b[complete]
    taper = np.sin(np.pi * (np.arange(window) + 0.5) / window) ** 2
    weight = np.outer(taper, taper)
    weight /= weight.sum()
    tiles_a -= (weight * tiles_a).sum(axis=(1, 2), keepdims=True)
    tiles_b -= (weight * tiles_b).sum(axis=(1, 2), keepdims=True)
    variance_a = (weight * tiles_a**2).sum(axis=(1, 2))
    variance_b = (weight * tiles_b**2).sum(axis=(1, 2))
    usable = (variance_a > _FLAT * _variance(a)) & (variance_b > _FLAT * _variance(b))
    if not usable.any():
        missing = int((~np.isfinite(a) | ~np.isfinite(b)).sum())
        raise DataError(
            f"No complete, textured window of {window} px in images of shape {a.shape} with "
            f"{missing} missing pixels: give a smaller window."
        )
    tiles_a, tiles_b = tiles_a[usable], tiles_b[usable]
    variance_a, variance_b = variance_a[usable], variance_b[usable]
    gain = (weight * tiles_a * tiles_b).sum(axis=(1, 2)) / variance_a
    residual = tiles_b - gain[:, None, None] * tiles_a

    # With this factor the mean of the periodogram over all frequencies is the weighted variance.
    root = np.sqrt(weight) * window
    frequency = np.hypot(scipy.fft.fftfreq(window)[:, None], scipy.fft.fftfreq(window)[None, :])
    n = bins or window // 2
    annulus = np.minimum((frequency * 2 * n).astype(int), n)
    annulus[0, 0] = n  # the mean is no texture
    count = np.bincount(annulus.ravel(), minlength=n + 1)[:n]
    radial = []
    for tiles in (residual, tiles_b):
        power = np.abs(scipy.fft.fft2(tiles * root)) ** 2 / window**2
        mean = (power / variance_b[:, None, None]).mean(axis=0)
        sums = np.bincount(annulus.ravel(), weights=mean.ravel(), minlength=n + 1)[:n]
        radial.append(sums / np.maximum(count, 1))
    centres = (np.arange(n) + 0.5) / (2 * n)
    kept = count > 0
    return Spectrum(centres[kept], radial[0][kept], radial[1][kept])


def _check_pair(a: np.ndarray, b: np.ndarray, window: int, low: int = 8) -> None:
    """Refuse images that are not on one grid, and windows that do not fit."""
    if a.ndim != 2 or a.shape != b.shape:
        raise GridError(
            f"Shapes {a.shape} and {b.shape}: give two images (h, w) on the same grid, for "
            "instance after post.rio.reproject_match(pre)."
        )
    if not low <= window <= min(a.shape):
        raise DataError(
            f"window={window} does not fit images of shape {a.shape}: give {low} to {min(a.shape)}."
        )


def _variance(image: np.ndarray) -> float:
    """Variance of the valid pixels; 0 for none."""
    values = image[np.isfinite(image)]
    return float(values.var(dtype=np.float64)) if values.size else 0.0


def _tiles(image: np.ndarray, window: int) -> np.ndarray:
    """Windows that overlap by half, ``(n, window, window)`` in float64."""
    view = np.lib.stride_tricks.sliding_window_view(image, (window, window))
    step = max(window // 2, 1)
    return view[::step, ::step].reshape(-1, window, window).astype(np.float64)

"""Sharpness of an image: its noise and point spread measured, its blur changed."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage

__all__ = ["blur", "noise_level", "point_spread"]


def noise_level(image: np.ndarray) -> float:
    """Standard deviation of the white noise that would explain the finest detail.

    Immerkaer (1996), Fast noise variance estimation: the mean absolute response
    of a difference of two Laplacians, blind to planes and edges of low
    curvature. On sharp images it is an upper bound of the noise; here it stands
    for the power near Nyquist, where two real dates share next to nothing.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``, finite, at least 3 pixels a side.

    Returns
    -------
    float
        In the image's units.
    """
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(both).mean())


def point_spread(image: np.ndarray) -> float:
    """Width of the point spread that an image was seen through, from its spectrum.

    Ground has a power spectrum near a power law; the Gaussian that bends it down
    is the instrument's. Fits ``a - b log f - (2 pi s f)^2`` to the logarithm of
    the radial power between 0.08 and 0.42 cycles per pixel, by least squares.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``, finite, at least 32 pixels a side.

    Returns
    -------
    float
        Standard deviation s, pixels, held within 0.3 (sharp, or noisy) and 1.2.
    """
    side = min(64, *image.shape)
    rows = np.linspace(0, image.shape[0] - side, 4).astype(int)
    columns = np.linspace(0, image.shape[1] - side, 4).astype(int)
    tiles = np.stack([image[r : r + side, c : c + side] for r in rows for c in columns])
    taper = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * np.outer(taper, taper)
    power = (np.abs(scipy.fft.fft2(tiles)) ** 2).mean(axis=0).ravel()
    line = scipy.fft.fftfreq(side)
    frequency = np.hypot(line[:, None], line[None, :]).ravel()
    annulus = np.rint(frequency * side).astype(int)
    count = np.bincount(annulus)
    power = np.bincount(annulus, weights=power) / count
    radius = np.arange(len(count)) / side
    kept = (radius >= 0.08) & (radius <= 0.42) & (power > 0)
    if kept.sum() < 6:
        return 0.6
    f = radius[kept]
    terms = np.stack([np.ones_like(f), -np.log(f), -((2 * np.pi * f) ** 2)], axis=1)
    variance = float(np.linalg.lstsq(terms, np.log(power[kept]), rcond=None)[0][2])
    return float(np.sqrt(np.clip(variance, 0.3**2, 1.2**2)))


def blur(image: np.ndarray, sigma: float, aspect: float = 1.0) -> np.ndarray:
    """Change the modulation transfer function: blur, or sharpen by as much.

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``, finite.
    sigma : float
        Standard deviation of the Gaussian blur along rows, pixels. Negative: an
        unsharp mask adds what a blur by ``-sigma`` would take away.
    aspect : float
        Ratio of the blur along columns to that along rows.

    Returns
    -------
    numpy.ndarray of float32
    """
    if abs(sigma) < 0.05:
        return image
    width = (abs(sigma) * aspect, abs(sigma))
    smooth = scipy.ndimage.gaussian_filter(image, width, truncate=3.0, mode="mirror")
    return smooth if sigma > 0 else 2 * image - smooth

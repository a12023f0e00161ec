"""Haze, clouds and their shadows, and the random fields they are made of."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage

__all__ = ["add_cloud", "add_haze", "coloured_noise", "smooth_field"]


def coloured_noise(shape: tuple[int, int], exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power falls as frequency to the minus `exponent`.

    Parameters
    ----------
    shape : tuple of int
        ``(h, w)``.
    exponent : float
        0 is white; 2 looks like plants, 3 and more like relief and haze.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
        Zero mean, unit variance, periodic.
    """
    rows = scipy.fft.next_fast_len(shape[0], real=True)
    columns = scipy.fft.next_fast_len(shape[1], real=True)
    spectrum = scipy.fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    ky = scipy.fft.fftfreq(rows).astype(np.float32)[:, None]
    kx = scipy.fft.rfftfreq(columns).astype(np.float32)[None, :]
    square = ky**2 + kx**2
    square[0, 0] = 1.0
    spectrum *= square ** np.float32(-exponent / 4)
    spectrum[0, 0] = 0.0
    noise = scipy.fft.irfft2(spectrum, (rows, columns))[: shape[0], : shape[1]]
    noise -= noise.mean()
    return (noise / max(float(noise.std()), 1e-12)).astype(np.float32)


def smooth_field(
    shape: tuple[int, int], exponent: float, rng: np.random.Generator, *, coarse: int = 8
) -> np.ndarray:
    """A large-scale :func:`coloured_noise`, drawn coarsely and interpolated (cheap).

    Parameters
    ----------
    shape, exponent, rng
        As for :func:`coloured_noise`.
    coarse : int
        Pixels between the values that are drawn; nothing finer is in the field.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(h, w)``, about zero mean and unit variance.
    """
    small = (shape[0] // coarse + 4, shape[1] // coarse + 4)
    field = coloured_noise(small, exponent, rng)
    rows = np.arange(shape[0], dtype=np.float32) / coarse + 1
    columns = np.arange(shape[1], dtype=np.float32) / coarse + 1
    # Linear interpolation axis by axis of a field smoothed to its own grid.
    field = scipy.ndimage.gaussian_filter(field, 0.6)
    field = _linear(field, rows, 0)
    return _linear(field, columns, 1)


def add_haze(
    image: np.ndarray, strength: float, bright: float, rng: np.random.Generator
) -> np.ndarray:
    """Veil an image: ``t * image + (1 - t) * bright`` with a smooth transmission t.

    The single-scattering haze model of Koschmieder, as used in dehazing (He et
    al. 2011).

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``.
    strength : float
        Largest loss of contrast, 0 to 1.
    bright : float
        Radiance of the veil, in the image's units.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
    """
    field = smooth_field(image.shape, 3.2, rng, coarse=16)
    # Half of the area is about clear: haze comes in banks.
    veil = np.clip(field * np.float32(0.5) + np.float32(0.2), 0, 1) * np.float32(strength)
    return image + veil * (np.float32(bright) - image)


def add_cloud(
    image: np.ndarray,
    cover: float,
    bright: float,
    dark: float,
    shadow: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Put clouds with soft edges over an image, and their shadows beside them.

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``.
    cover : float
        Share of the area under cloud, 0 to 1.
    bright, dark : float
        Radiance of a thick cloud and of full shadow, in the image's units.
    shadow : tuple of float
        Offset of the shadow from its cloud, pixels to the right and down.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
    """
    if cover <= 0:
        return image
    field = coloured_noise(image.shape, 3.0, rng)
    level = np.quantile(field[::4, ::4], 1 - min(cover, 1.0))
    # 0.5 of the field's deviation from first wisp to opaque: tens of pixels for large clouds.
    depth = np.clip((field - np.float32(level)) / np.float32(0.5), 0, 1)
    opacity = 1 - np.exp(-5 * depth)
    cast = scipy.ndimage.shift(depth, (shadow[1], shadow[0]), order=1, mode="grid-wrap")
    shade = np.float32(0.6) * (1 - np.exp(-4 * cast))
    shaded = image + shade * (np.float32(dark) - image)
    return shaded + opacity.astype(np.float32) * (np.float32(bright) - shaded)


def _linear(field: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation of `field` at places `at` along one axis."""
    low = at.astype(np.intp)
    part = at - low
    if axis == 0:
        part = part[:, None]
    return np.asarray(
        field.take(low, axis) * (1 - part) + field.take(low + 1, axis) * part, np.float32
    )

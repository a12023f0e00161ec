"""Random fields with a spectrum: of plants, relief, haze and grain."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage

__all__ = ["coloured_noise", "smooth_field"]


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


def _linear(field: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation of `field` at positions `at` along one axis."""
    low = at.astype(np.intp)
    part = at - low
    if axis == 0:
        part = part[:, None]
    return np.asarray(
        field.take(low, axis) * (1 - part) + field.take(low + 1, axis) * part, np.float32
    )

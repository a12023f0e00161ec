"""Strength of a change that brings two dates to a given mean local correlation."""

from __future__ import annotations

import numpy as np

from ..kernels.block_means import block_sum

__all__ = ["normalised", "strength_for"]

# Side of the blocks whose sums make the 32-pixel windows of the local correlation.
_BLOCK = 16
# Changes beyond this many deviations are compressed: a roof that dazzles stays within counts.
_LARGEST = 5.0
# Strengths tried when a correlation is aimed at.
_STRENGTHS = np.concatenate([[0.0], np.geomspace(0.01, 30.0, 96)])


def normalised(field: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Scale a field to the mean local variance of an image (32-pixel windows).

    Values beyond five deviations of the image are compressed softly.
    """
    own = float(np.mean(_window_moment(field, field)))
    aim = float(np.mean(_window_moment(image, image)))
    if own <= 1e-12 or aim <= 1e-12:
        return np.zeros_like(field)
    field = field * np.float32(np.sqrt(aim / own))
    return field / np.sqrt(1 + (field / np.float32(_LARGEST)) ** 2)


def strength_for(
    correlation: float,
    image: np.ndarray,
    common: np.ndarray,
    change: np.ndarray,
    noise: tuple[float, float],
) -> float:
    """Find the strength of a change that brings two dates to a mean local correlation.

    The moments of ``common + s * change`` in each window are quadratic in s, so
    they are taken once and the mean over 32-pixel windows is evaluated for many
    s; the first crossing is returned.

    Parameters
    ----------
    correlation : float
        Aim.
    image, common, change : numpy.ndarray of float32
        First date, its part in the second date, and the change.
    noise : tuple of float
        Variances of independent noise: constant, and per unit of s squared.

    Returns
    -------
    float
        s; 0 if noise alone has brought the correlation below the aim, the
        strength of least correlation if the aim is out of reach.
    """
    vii = _window_moment(image, image)
    vic, vid = _window_moment(image, common), _window_moment(image, change)
    vcc = _window_moment(common, common)
    vcd, vdd = _window_moment(common, change), _window_moment(change, change)
    kept = vii > 1e-6
    if not kept.any():
        return 0.0
    vii, vic, vid, vcc, vcd, vdd = (m[kept] for m in (vii, vic, vid, vcc, vcd, vdd))
    mean = np.empty(len(_STRENGTHS))
    for i, s in enumerate(_STRENGTHS):
        variance = vcc + 2 * s * vcd + s**2 * vdd + noise[0] + s**2 * noise[1]
        mean[i] = np.mean((vic + s * vid) / np.sqrt(vii * np.maximum(variance, 1e-12)))
    below = np.flatnonzero(mean <= correlation)
    if not below.size:
        return float(_STRENGTHS[mean.argmin()])
    i = below[0]
    if i == 0:
        return 0.0
    part = (mean[i - 1] - correlation) / (mean[i - 1] - mean[i])
    return float(_STRENGTHS[i - 1] + part * (_STRENGTHS[i] - _STRENGTHS[i - 1]))


def _window_moment(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Covariance of two images of about zero mean in 32-pixel windows, each 16 pixels."""
    n = (2 * _BLOCK) ** 2
    return _window_sum(a * b) / n - _window_sum(a) * _window_sum(b) / n**2


def _window_sum(values: np.ndarray) -> np.ndarray:
    """Sums over 32-pixel windows, each 16 pixels."""
    sums = block_sum(values, _BLOCK)
    return sums[1:, 1:] + sums[:-1, 1:] + sums[1:, :-1] + sums[:-1, :-1]
